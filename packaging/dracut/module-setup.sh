#!/bin/bash
# Puts treeseal-boot, its configuration and the trust root into an initramfs that dracut makes.

check() {
    require_binaries /usr/lib/treeseal/treeseal-boot || return 1
    # Where nothing is configured it is added only when it is asked for.
    [[ -e $dracutsysrootdir/etc/treeseal/boot.json ]] || return 255
}

depends() {
    return 0
}

installkernel() {
    # Also what this machine does not use while the initramfs is made.
    hostonly='' instmods erofs overlay loop ext4 btrfs
}

install() {
    inst_simple /etc/treeseal/boot.json
    inst_simple /etc/treeseal/root.json
    inst_binary /usr/lib/treeseal/treeseal-boot /usr/bin/treeseal-boot
    inst_hook cmdline 10 "$moddir/treeseal-root.sh"
    if dracut_module_included systemd; then
        inst_simple "$moddir/treeseal-boot.service" "$systemdsystemunitdir/treeseal-boot.service"
        $SYSTEMCTL -q --root "$initdir" add-requires initrd-root-fs.target treeseal-boot.service
    else
        inst_hook mount 10 "$moddir/treeseal-mount.sh"
    fi
}
