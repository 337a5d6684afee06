#!/bin/sh
treeseal-boot --sysroot "$NEWROOT" || die "no sealed tree can be mounted"
