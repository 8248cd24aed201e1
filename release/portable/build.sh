#!/bin/sh
# CPython and PyInstaller's bootloader, built by zig so that they need glibc 2.17 and nothing newer, and are the same bytes wherever
# and whenever they are built: no path of this machine, no day and no name of a tool is in them (release/README.md).
# In: SOURCES (tarballs), PATCH, WORK (scratch), OUT (python/ and bootloader come there), ZIG (the zig program), TARGET (as in
# x86_64-linux-gnu), BUILD_PYTHON (runs waf; where TARGET is another machine's, a Python of the same version), JOBS.
# Each "step:" line is shown to whoever waits.
set -eu
HOME_THERE=/airseal # the prefix that programs are told; nothing is ever installed there
ROOT=$WORK/root DEPS=$WORK/root$HOME_THERE TOOLS=$WORK/bin MACHINE=${TARGET%%-*} BUILD=$(uname -m)-linux-gnu
mkdir -p "$ROOT" "$TOOLS" "$WORK/src"
export ZIG_GLOBAL_CACHE_DIR="$WORK/zig-cache" ZIG_LOCAL_CACHE_DIR="$WORK/zig-cache"
export SOURCE_DATE_EPOCH=315532800 LC_ALL=C TZ=UTC
umask 022

compiler() { # name, zig's word for it
    # With -E zig 0.17 refuses a target with a glibc version. UBSan is zig's default, and OpenSSL would then need its runtime.
    cat >"$TOOLS/$1" <<END
#!/bin/sh
target=$TARGET.2.17
for argument in "\$@"; do [ "\$argument" = -E ] && target=$TARGET; done
exec "$ZIG" $2 -target \$target -Wno-date-time -Wno-builtin-macro-redefined -fno-sanitize=undefined \\
    -ffile-prefix-map="$WORK=$HOME_THERE" '-D__DATE__="Jan  1 1980"' '-D__TIME__="00:00:00"' "\$@"
END
}
compiler zig-cc cc
compiler zig-c++ c++
for tool in ar ranlib; do printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$ZIG" $tool >"$TOOLS/zig-$tool"; done
chmod +x "$TOOLS"/*
# By name, not by path: OpenSSL and CPython write down what compiled them.
PATH=$TOOLS:$PATH
export CC=zig-cc CXX=zig-c++ AR=zig-ar RANLIB=zig-ranlib PATH

unpack() { # tarball, its directory's new name
    mkdir -p "$WORK/src/$2"
    tar -xf "$SOURCES/$1" -C "$WORK/src/$2" --strip-components=1
    cd "$WORK/src/$2"
}

echo "step: zlib"
unpack zlib.tar.gz zlib
CHOST=$TARGET CFLAGS="-O2 -fPIC" ./configure --static --prefix=$HOME_THERE
make -j"$JOBS" && make install DESTDIR="$ROOT"

echo "step: libffi"
unpack libffi.tar.gz libffi
./autogen.sh # this release has no configure in it
CFLAGS="-O2 -fPIC" ./configure --build="$BUILD" --host="$TARGET" --prefix=$HOME_THERE --libdir=$HOME_THERE/lib --disable-shared \
    --disable-docs --with-pic --disable-multi-os-directory
make -j"$JOBS" && make install DESTDIR="$ROOT"

echo "step: xz"
unpack xz.tar.xz xz
CFLAGS="-O2 -fPIC" ./configure --build="$BUILD" --host="$TARGET" --prefix=$HOME_THERE --disable-shared --disable-xz --disable-xzdec \
    --disable-lzmadec --disable-lzmainfo --disable-scripts --disable-doc --with-pic
make -j"$JOBS" && make install DESTDIR="$ROOT"

echo "step: openssl, the longest"
unpack openssl.tar.gz openssl
./Configure "linux-$MACHINE" no-shared no-tests no-docs no-apps no-legacy --prefix=$HOME_THERE --openssldir=/etc/ssl --libdir=lib
make -j"$JOBS" build_libs && make install_dev DESTDIR="$ROOT"

echo "step: python"
unpack python.tar.xz python
cross= # what configure finds out by running a program
[ "$BUILD" = "$TARGET" ] || cross="--with-build-python=$BUILD_PYTHON ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no"
# shellcheck disable=SC2086 # none of the words has a space
CFLAGS="-fPIC" CPPFLAGS="-I$DEPS/include" LDFLAGS="-L$DEPS/lib -s" PKG_CONFIG_PATH="$DEPS/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$ROOT" \
    ./configure --build="$BUILD" --host="$TARGET" --prefix=$HOME_THERE/python --enable-shared --without-static-libpython \
    --with-openssl="$DEPS" --with-ensurepip=no --disable-test-modules --without-readline $cross
cat >Modules/Setup.local <<END
*shared*
_ssl _ssl.c -I$DEPS/include -L$DEPS/lib -lssl -lcrypto -ldl -lpthread
_hashlib _hashopenssl.c -I$DEPS/include -L$DEPS/lib -lcrypto -ldl -lpthread
*disabled*
_uuid _sqlite3 _curses _curses_panel _dbm _gdbm readline _tkinter _bz2 nis _crypt xxlimited xxlimited_35 _xxtestfuzz _testclinic
END
make Makefile || true # written anew for Setup.local
# zig's linker knows -soname, not -h; and a libpython3.so that only points at the other one cannot be linked: copy it.
sed -i 's/-Wl,-h\$(INSTSONAME)/-Wl,-soname,$(INSTSONAME)/
s/^\t\$(BLDSHARED) \$(NO_AS_NEEDED) -o \$@ -Wl,-h.*/\tcp libpython$(LDVERSION).so $@/' Makefile
make -j"$JOBS" && make install DESTDIR="$ROOT"
mv "$DEPS/python" "$OUT/python"
"$PATCHELF" --set-rpath '$ORIGIN/../lib' "$OUT/python/bin/python3.13"
# What is said of the directories of this machine, in what Python knows of its own making.
find "$OUT/python/lib" -name '_sysconfigdata*.py' -exec sed -i "s#$WORK#$HOME_THERE#g" {} +
find "$OUT/python" -name __pycache__ -prune -exec rm -rf {} +

echo "step: bootloader"
unpack pyinstaller.tar.gz pyinstaller
patch -p1 <"$PATCH"
cd bootloader
PYI_STATIC_ZLIB=1 LDFLAGS=-s "$BUILD_PYTHON" ./waf configure all
cp build/release/run "$OUT/bootloader" 2>/dev/null || cp ../PyInstaller/bootloader/*/run "$OUT/bootloader"
