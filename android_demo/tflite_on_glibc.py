"""Lets a desktop JVM load TFLite's library for Android: for tests of numbers, never of speed.

There is no TFLite for a desktop in Java, but Android's x86_64 library asks little of its C library.
A copy of it, made for each build and never shipped, asks for no versions of symbols, for none of
bionic's libraries but liblog.so, and for stdio by other names; a liblog.so of our own has these.
"""

import struct
import subprocess
from pathlib import Path

DYNAMIC, NULL, NEEDED, STRINGS = 2, 0, 1, 5
VERSIONS = (0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF)  # DT_VERSYM to VERNEEDNUM
RENAMED = {b"fprintf\0": b"fprintF\0", b"fputc\0": b"fputC\0", b"fflush\0": b"fflusH\0"}
SHIM = r"""
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* bionic's stdin, stdout and stderr lie in one array; what points there means stderr. */
char __sF[3 * 512];
static FILE *of(char *f) { return f >= __sF && f < __sF + sizeof __sF ? stderr : (FILE *)f; }

int vfprintF(void *f, const char *format, va_list a) { return vfprintf(of(f), format, a); }
int fprintF(void *f, const char *format, ...) {
  va_list a;
  va_start(a, format);
  int written = vfprintf(of(f), format, a);
  va_end(a);
  return written;
}
int fputC(int c, void *f) { return fputc(c, of(f)); }
int fflusH(void *f) { return fflush(f ? of(f) : NULL); }

int *__errno(void) { return &errno; }
size_t __strlen_chk(const char *s, size_t size) { (void)size; return strlen(s); }
int __system_property_get(const char *name, char *value) { (void)name; *value = 0; return 0; }
void android_set_abort_message(const char *m) { fprintf(stderr, "%s\n", m); }
int __android_log_vprint(int level, const char *tag, const char *format, va_list a) {
  (void)level;
  fprintf(stderr, "%s: ", tag);
  return vfprintf(stderr, format, a) + fprintf(stderr, "\n");
}
"""


def make(library: Path, folder: Path) -> None:
    """Puts the copy and liblog.so into `folder`, where LD_LIBRARY_PATH finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / library.name).write_bytes(freed(library.read_bytes()))
    source = folder / "liblog.c"
    source.write_text(SHIM)
    built = ["-shared", "-fPIC", "-O1", "-Wl,-soname,liblog.so", "-Wl,--no-as-needed"]
    subprocess.run(
        ["gcc", *built, "-o", folder / "liblog.so", source, "-lm", "-ldl", "-lpthread"], check=True
    )


def freed(elf: bytes) -> bytes:
    """The copy: entries of the dynamic section left out, and strings changed in their place."""
    changed = bytearray(elf)
    table, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", elf, table + size * i) for i in range(count)]

    def place(address: int) -> int:
        """In the file."""
        load = next(h for h in headers if h[0] == 1 and h[3] <= address < h[3] + h[6])
        return address - load[3] + load[2]

    begin, length = next((h[2], h[5]) for h in headers if h[0] == DYNAMIC)
    entries = list(struct.iter_unpack("<QQ", elf[begin : begin + length]))
    strings = place(dict(entries)[STRINGS])
    end = strings + dict(entries)[10]  # DT_STRSZ
    kept = [
        (tag, value)
        for tag, value in entries
        if tag not in VERSIONS
        and (tag != NEEDED or elf[strings + value :].startswith(b"liblog.so\0"))
    ]
    kept += [(NULL, 0)] * (len(entries) - len(kept))
    changed[begin : begin + length] = b"".join(struct.pack("<QQ", *entry) for entry in kept)
    for old, new in RENAMED.items():
        changed[strings:end] = changed[strings:end].replace(old, new)
    return bytes(changed)
