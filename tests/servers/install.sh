#!/bin/sh
# Puts the servers that the tests start on this machine, and says what it could not have.
#
# Redis and Java come from Debian's packages, where this runs as root on such a machine; the jars of
# Kafka from Maven's repository into .servers/.  What is there already is left as it is.  No daemon
# is started: the tests run instances of their own.  Always ends with 0: a test whose server is not
# there skips, or fails where SENTINEL_REQUIRE_SERVICES=1 is set.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
jars=$root/.servers/kafka
policy=/usr/sbin/policy-rc.d

missing() { ! command -v "$1" >/dev/null 2>&1; }
has_jars() { ls "$jars"/kafka_*.jar >/dev/null 2>&1; }

packages=
missing redis-server && packages="$packages redis-server"
missing java && packages="$packages default-jre-headless"
missing openssl && packages="$packages openssl"
if ! has_jars && missing mvn; then
    packages="$packages maven"
fi

if [ -n "$packages" ]; then
    if [ "$(id -u)" != 0 ] || missing apt-get; then
        echo "servers: no$packages (apt-get install$packages)" >&2
    else
        # Debian would start what it installs.
        made=
        if [ ! -e "$policy" ]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=yes
        fi
        log=$(mktemp)
        # shellcheck disable=SC2086
        { apt-get -q -o DPkg::Lock::Timeout=300 update &&
            DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
                install --no-install-recommends $packages; } >"$log" 2>&1 ||
            { echo "servers: could not install$packages:" >&2; tail -5 "$log" >&2; }
        rm -f "$log"
        [ -n "$made" ] && rm -f "$policy"
    fi
fi

if ! has_jars && ! missing mvn && ! missing java; then
    # Whole or not there: another run may look meanwhile.
    beside=$root/.servers/kafka.$$
    mkdir -p "$root/.servers"
    if mvn -q -B -f "$here/kafka-pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$beside" >"$root/.servers/maven.log" 2>&1; then
        mv "$beside" "$jars" 2>/dev/null || rm -rf "$beside"
    else
        echo "servers: could not fetch Kafka:" >&2
        tail -5 "$root/.servers/maven.log" >&2
        rm -rf "$beside"
    fi
fi

for server in redis-server java; do
    missing "$server" && echo "servers: $server is not there" >&2
done
has_jars || echo "servers: Kafka is not there" >&2
exit 0
