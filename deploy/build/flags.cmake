# Compiler flags: postern_flags is linked by every target of ours, never by generated code.
add_library(postern_flags INTERFACE)
target_compile_options(postern_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
    -Woverloaded-virtual -Wcast-qual -Wundef -Wvla -Wformat=2 -Wextra-semi -Wsuggest-override
    -Wmissing-declarations>
  $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes -Wstrict-prototypes -Wcast-qual -Wundef -Wvla>)
target_include_directories(postern_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(postern_flags INTERFACE
  ASIO_STANDALONE ASIO_NO_DEPRECATED
  # Asio 1.22 finds this out by itself only where a standard header came before it: units that
  # disagree allocate in one way and free in the other.
  ASIO_HAS_STD_ALIGNED_ALLOC=1
  SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)

if(CMAKE_UNITY_BUILD)
  # Several files in one unit: gcc reads their headers once, and a whole build takes a third of the
  # time. Preset dev builds file by file: a change costs one file, and each is known to include what
  # it needs.
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 12)
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
  # A warning meant for headers: to gcc every file of a unit but the unit itself is one.
  target_compile_options(postern_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
endif()
if(NOT POSTERN_SANITIZE STREQUAL "")
  # Two warnings that gcc 12 gives for sound code when it instruments it: at -O1 it inlines the
  # allocation of a coroutine's frame in Asio but not its release, and takes them for a mismatch; and
  # it sees std::regex and the like read what was not written. AddressSanitizer judges the first at
  # run time, and preset release judges both without instrumentation.
  target_compile_options(postern_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-mismatched-new-delete -Wno-maybe-uninitialized>)
endif()
if(POSTERN_SANITIZE STREQUAL "address")
  # Full debug info triples the compile time; these sub-checks of UBSan nearly double it.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr,null,alignment,object-size
                      -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(POSTERN_SANITIZE STREQUAL "thread")
  # gcc's TSan does not know atomic_thread_fence (-Wtsan): Asio is told to do without.
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -g1 -O1)
  add_compile_definitions(ASIO_DISABLE_FENCED_BLOCK)
  add_link_options(-fsanitize=thread)
elseif(NOT POSTERN_SANITIZE STREQUAL "")
  message(FATAL_ERROR "POSTERN_SANITIZE must be empty, address or thread")
endif()
