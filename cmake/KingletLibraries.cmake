# Third-party libraries: what each is for, and nothing else is used. All are in Debian 12 and build for a phone.
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)      # pre-tokenizer patterns (Unicode properties, look-ahead)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)  # Unicode normalisation and case
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)      # checksums and cache keys
find_package(nlohmann_json 3.11 REQUIRED)                         # JSON at the API (header only)
find_path(XSIMD_INCLUDE_DIR xsimd/xsimd.hpp REQUIRED)             # portable SIMD (header only)
add_library(kinglet_xsimd INTERFACE)
target_include_directories(kinglet_xsimd SYSTEM INTERFACE ${XSIMD_INCLUDE_DIR})
if(KINGLET_TESTS)
  find_package(GTest REQUIRED)
endif()
