#!/bin/sh
# The root does not come from the kernel's command line: dracut need not look for one there.
root=treeseal
rootok=1
