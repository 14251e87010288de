# Network namespaces for two peers and a server, each peer behind a router of its own. Sourced by `run`; needs root, ip and nft.
#
#   hub (bridge, drops what LOSS says) ── server 203.0.113.1
#     ├── router a 203.0.113.10 ── peer a 10.10.0.2      or, open: peer a 203.0.113.20 on the bridge itself
#     └── router b 203.0.113.11 ── peer b 10.11.0.2      or, open: peer b 203.0.113.21
#
# What a router does: `preserving` keeps the port of whoever sends and lets in what was sent to (Linux masquerading, the kind
# of most homes); `symmetric` takes a random port for each address that is sent to. Both drop what nobody asked for without
# an answer: an entry that a stranger's packet makes would take the port from the peer behind. A router of a kind with `+map`
# or `+upnp` runs miniupnpd besides: it forwards ports to whoever asks by PCP, NAT-PMP or UPnP, or by UPnP alone.
#
# With such a router the outside is 11.22.33.0/24: miniupnpd forwards from no address that is reserved. Nothing leaves this machine.
#
# `no-udp` is open, with a firewall of its own that drops UDP both ways.

LAB=citadel-lab-$$
at() { local host=$1; shift; ip netns exec "$LAB-$host" "$@"; }

lab_down() {
    local name
    for name in $(ip netns list 2>/dev/null | awk -v lab="$LAB-" 'index($1, lab) == 1 { print $1 }'); do
        ip netns pids "$name" | xargs -r kill -9 2>/dev/null
        ip netns delete "$name"
    done
}

# wire HOST ADDRESS/LEN PEER_HOST [BRIDGE]: a cable between two hosts; its end at HOST has the address, its other end is in the bridge.
hang() {
    local host=$1 address=$2
    ip link add "v-$host" netns "$LAB-$host" type veth peer name "p-$host" netns "$LAB-hub"
    at hub ip link set "p-$host" master bridge up
    at "$host" ip addr add "$address" dev "v-$host"
    at "$host" ip link set "v-$host" up
}

host() {
    ip netns add "$LAB-$1"
    at "$1" ip link set lo up
}

# nat_rules KIND: the postrouting rule of a router.
nat_rules() {
    case ${1%+*} in
        preserving) echo 'oifname "v-*" masquerade' ;;
        symmetric) echo 'oifname "v-*" masquerade fully-random' ;;
    esac
}

# mapping ROUTER KIND NUMBER: the service that a peer asks for a port, until the lab is down.
mapping() {
    local router=$1 kind=$2 number=$3 packets=yes
    if [ "${kind#*+}" = upnp ]; then packets=no; fi
    at "$router" nft -f - <<RULES
table ip lab {
    chain forward { ct status dnat accept; }
}
table inet filter {
    chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
    chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 90; policy accept; jump postrouting_miniupnpd; }
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
RULES
    cat >"$WORK/$router.conf" <<CONFIG
ext_ifname=v-$router
listening_ip=in
enable_natpmp=$packets
enable_upnp=yes
secure_mode=yes
uuid=31ed9b26-3535-4794-aca6-bd9e3f42600$number
allow 1024-65535 10.1$number.0.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
CONFIG
    at "$router" miniupnpd -d -f "$WORK/$router.conf" -P "$WORK/$router.pid" >"$WORK/$router.log" 2>&1 &
}

# side NAME KIND NUMBER: a peer and, unless it is open, its router.
side() {
    local name=$1 kind=$2 number=$3 router=r$1
    host "$name"
    if [ "$kind" = open ] || [ "$kind" = no-udp ]; then
        hang "$name" "$OUT.2$number/24"
        if [ "$kind" = no-udp ]; then
            at "$name" nft -f - <<RULES
table ip lab {
    chain input { type filter hook input priority 0; policy accept; ip protocol udp drop; }
    chain output { type filter hook output priority 0; policy accept; ip protocol udp drop; }
}
RULES
        fi
        return
    fi
    host "$router"
    hang "$router" "$OUT.1$number/24"
    ip link add in netns "$LAB-$router" type veth peer name out netns "$LAB-$name"
    at "$router" ip addr add "10.1$number.0.1/24" dev in
    at "$router" ip link set in up
    at "$name" ip addr add "10.1$number.0.2/24" dev out
    at "$name" ip link set out up
    at "$name" ip route add default via "10.1$number.0.1"
    at "$router" sysctl -qw net.ipv4.ip_forward=1
    at "$router" nft -f - <<RULES
table ip lab {
    chain input { type filter hook input priority 0; policy accept; iifname "v-*" drop; }
    chain forward { type filter hook forward priority 0; policy drop; iifname "in" accept; ct state established,related accept; }
    chain nat { type nat hook postrouting priority 100; $(nat_rules "$kind"); }
}
RULES
    if [[ $kind == *+* ]]; then mapping "$router" "$kind" "$number"; fi
}

# lab_up KIND_A KIND_B LOSS: LOSS in percent of what crosses the bridge.
lab_up() {
    local loss=$3
    OUT=203.0.113
    if [[ $1 == *+* || $2 == *+* ]]; then OUT=11.22.33; fi
    host hub
    at hub ip link add bridge type bridge
    at hub ip link set bridge up
    host server
    hang server $OUT.1/24
    side a "$1" 0
    side b "$2" 1
    if [ "$loss" != 0 ]; then
        at hub nft -f - <<RULES
table bridge lab {
    chain forward { type filter hook forward priority 0; policy accept; ether type ip numgen random mod 100 < $loss drop; }
}
RULES
    fi
}

# measured_loss: percent of pings lost between the server and peer a, there and back.
measured_loss() {
    at a ping -q -i 0.002 -c 500 -W 1 $OUT.1 | awk -F'[ %]' '/packet loss/ { for (i = 1; i <= NF; i++) if ($(i + 1) == "" && $(i + 2) == "packet") print $i }'
}
