# Third-party libraries: what each is for, and nothing else is used. All are in Debian 12 and build for a phone.
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET GLOBAL libpcre2-8)      # pre-tokenizer patterns (Unicode properties, look-ahead)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET GLOBAL libutf8proc)  # Unicode normalisation and case
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET GLOBAL libxxhash)      # checksums and cache keys
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET GLOBAL libsodium)      # BLAKE2b: keys of the feature cache
if(KINGLET_VISION)
  pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET GLOBAL libjpeg)            # libjpeg-turbo
  pkg_check_modules(PNG REQUIRED IMPORTED_TARGET GLOBAL libpng)
  pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET GLOBAL zlib)               # libpng's; named for those who link static archives
  pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET GLOBAL libwebp)
  pkg_check_modules(WEBPDEMUX REQUIRED IMPORTED_TARGET GLOBAL libwebpdemux)  # WebP's container: EXIF, first frame of an animation
  pkg_check_modules(EXIF REQUIRED IMPORTED_TARGET GLOBAL libexif)            # orientation
endif()
find_package(nlohmann_json 3.11 REQUIRED)                         # JSON at the API (header only)
find_path(XSIMD_INCLUDE_DIR xsimd/xsimd.hpp REQUIRED)             # portable SIMD (header only)
add_library(kinglet_xsimd INTERFACE)
target_include_directories(kinglet_xsimd SYSTEM INTERFACE ${XSIMD_INCLUDE_DIR})
if(KINGLET_TESTS AND CMAKE_CROSSCOMPILING)
  set(INSTALL_GTEST OFF)
  add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL SYSTEM)  # Debian's googletest package
  foreach(library gtest gtest_main gmock)
    if(NOT TARGET GTest::${library})
      add_library(GTest::${library} ALIAS ${library})
    endif()
  endforeach()
elseif(KINGLET_TESTS)
  find_package(GTest REQUIRED)
endif()
