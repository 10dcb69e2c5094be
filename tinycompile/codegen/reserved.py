"""Names that a model can't have in C: its files are `<name>.h` and `<name>.c`, its functions `<name>_init` and so on.

Users put the output folder on their include path, so that no file of ours may have the name of a header that they mean
by `#include <...>`; on a host the command `<name>` has no extension, like C++'s headers.
"""

from __future__ import annotations

import re

KEYWORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    asm typeof typeof_unqual alignas alignof and and_eq bitand bitor bool catch char8_t char16_t char32_t class compl
    concept consteval constexpr constinit const_cast co_await co_return co_yield decltype delete dynamic_cast explicit
    export false final friend import module mutable namespace new noexcept not not_eq null nullptr operator or or_eq
    override private protected public reinterpret_cast requires static_assert static_cast template this thread_local
    throw true try typeid typename using virtual wchar_t xor xor_eq main memcpy memset memmove""".split()
)
"""Of C and C++ in all their versions, and functions that generated code calls."""

_MACROS = frozenset(
    """assert alloca bit byte cli complex daylight environ errno far huge i386 imaginary interface isr linux
    math_errhandling near noreturn offsetof pascal pixel sei signgam small sparc stderr stdin stdout thumb timezone
    unix vector word""".split()
)
"""Object-like macros and variables in lower case of C libraries, compilers and environments for firmware."""

_HEADERS = frozenset(
    # C, C++, POSIX
    """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbit stdbool stdckdint stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
    algorithm any array atomic barrier bit bitset cassert ccomplex cctype cerrno cfenv cfloat charconv chrono cinttypes
    ciso646 climits clocale cmath codecvt compare concepts condition_variable coroutine csetjmp csignal cstdalign
    cstdarg cstdbool cstddef cstdint cstdio cstdlib cstring ctgmath ctime cuchar cwchar cwctype debugging deque
    exception execution expected filesystem flat_map flat_set format forward_list fstream functional future generator
    hash_map hash_set initializer_list iomanip ios iosfwd iostream istream iterator latch linalg list map mdspan memory
    memory_resource mutex numbers numeric optional ostream print queue random ranges ratio regex scoped_allocator
    semaphore set shared_mutex source_location span spanstream sstream stack stacktrace stdexcept stdfloat stop_token
    streambuf string_view strstream syncstream system_error text_encoding thread tuple type_traits typeindex typeinfo
    unordered_map unordered_set utility valarray variant vector version backward bits debug decimal experimental ext
    parallel pstl tr1 tr2
    aio cpio devctl dirent dlfcn endian fcntl fmtmsg fnmatch ftw glob grp iconv langinfo libgen libintl monetary mqueue
    ndbm netdb nl_types poll pthread pwd sched search spawn strings stropts syslog tar termios trace ulimit unistd utime
    utmpx wordexp
    """.split()
    # C libraries, compilers, CMSIS, RTOSes and frameworks
    + """aliases alloca ar argp argz backtrace byteswap cpuid crypt cross_stdarg elf envlock envz err error execinfo
    fastmath features fstab fts gconv gcov getopt gshadow ieeefp ifaddrs lastlog link malloc mcheck mntent mm_malloc
    newlib nss obstack omp openacc paths picolibc printf proc_service pty quadmath quadmath_weak re_comp reent regdef
    regexp resolv sgtty shadow stab stdc_predef stdfix stdio_ext syscall sysexits syslimits termio thread_db ttyent
    ucontext unctrl utmp values varargs wait ansi newlib_version syslist acc_prof backtrace_supported cet
    features_time64 gnu_versions stdint_gcc unwind_arm_common hal nrf freertos freertosconfig task tasks timers semphr
    event_groups croutine portable portmacro projdefs stack_macros stream_buffer message_buffer kernel zephyr arduino
    client cxxabi machine mm3dnow sys server stream printable ipaddress udp wire spi wstring wprogram usbapi
    """.split()
)

_FUNCTIONS = frozenset("mtx cnd tss sem once os hal err fr esp pico mbed stdio ll".split())
"""Libraries whose `<name>_init`, `<NAME>_OK` and the like meet ours."""

_FOLDER = frozenset(
    """all build clean host makefile objects single source sources boards report certificate tinycompile zephyr
    app linker console startup semihosting firmware board tc single_file library con prn aux nul c m g gcc dl rt util
    stdcxx pthread""".split()
)
"""Files, folders and goals of the output folder, devices of Windows, and libraries that `-l` finds."""

_PATTERNS = re.compile(
    r"tc_.*|com\d|lpt\d|.*intrin|std.*|pthread_.*|posix_.*|mtx_.*|cnd_.*|sem_.*|atomic_.*|hal_.*|os_.*|pico_.*"
    r"|arm_.*|cmsis.*|core_(c[arm]|armv|sc|starmc).*|(system_)?(stm32|nrf|rp2|mps[23]|sse3)\w*|mpu_armv.*|unwind.*"
)


def is_reserved_word(name: str) -> bool:
    """Whether an identifier in lower case has a meaning in the code around it: types of the C library end in `_t`."""
    return name in KEYWORDS | _MACROS or name.startswith("tc_") or name.endswith("_t")


LOCALS = "arena context found n scratch state status tick tile user weights".split()
"""What functions of the generated code call their own variables."""

STEP_LOCALS = [*LOCALS, "budget", "left", "spent", "steps", "turn"]
"""The same where there are steps."""


def is_reserved_model(name: str) -> bool:
    """Whether a model of this identifier, in lower case, could collide."""
    return name in KEYWORDS | _HEADERS | _FUNCTIONS | _FOLDER or _PATTERNS.fullmatch(name) is not None


API = """h abi context status memory quantization rows labels weights init init_with reset infer invoke layers run check
    check_abi read write left firmware train_step predict set_learning_rate execute save load checkpoint
    checkpoint_number accumulate apply evaluate counters gradient gradient_model gradient_memory gradient_begin
    gradient_export gradient_apply steps steps_left invoke_steps execute_step push_row serve width
    set_width width_choice""".split()
"""What generated code calls `<model>_...`, beside inputs, outputs and constants."""

_OWN_NAME = re.compile(rf"_({'|'.join(API)}|(in|out)put(_.*)?|read_.*|write_.*|run_.*|firmware_.*)")


def are_alike(one: str, other: str) -> bool:
    """Whether two models of a firmware have a file or a name in C in common: `net` and `net_weights` have."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and (long == short or _OWN_NAME.fullmatch(long[len(short) :]) is not None)
