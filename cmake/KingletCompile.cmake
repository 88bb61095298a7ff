# How everything is compiled, and the two functions that declare a module of the library and a test of it.
find_package(Threads REQUIRED)

# For every target of ours; tools and samples take this alone, so that they see public headers only.
add_library(kinglet_warnings INTERFACE)
target_compile_options(kinglet_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual> -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(kinglet_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>  # false alarms in std::string, GCC bug 105651
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)  # false alarms in std::variant and in the AVX-512 headers, GCC bugs 80635, 105593
endif()
if(KINGLET_WARNINGS_AS_ERRORS)
  target_compile_options(kinglet_warnings INTERFACE -Werror)
endif()
if(KINGLET_SANITIZE)
  # Undefined behaviour is looked for in the library, not in tests and programs: what the check makes of gtest's and CLI11's headers takes as long to compile as all else.
  string(REGEX REPLACE ",?undefined" "" in_programs "${KINGLET_SANITIZE}")
  string(REPLACE "," "$<COMMA>" in_programs "${in_programs}")
  string(REPLACE "," "$<COMMA>" in_library "${KINGLET_SANITIZE}")
  target_compile_options(kinglet_warnings INTERFACE -fsanitize=$<IF:$<BOOL:$<TARGET_PROPERTY:KINGLET_PROGRAM>>,${in_programs},${in_library}>
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(kinglet_warnings INTERFACE -fsanitize=${KINGLET_SANITIZE})
endif()
if(KINGLET_FUZZ)
  target_compile_options(kinglet_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()

# For the library and its tests, which also see its own headers.
add_library(kinglet_options INTERFACE)
target_include_directories(kinglet_options INTERFACE ${PROJECT_SOURCE_DIR}/sdk/src ${PROJECT_SOURCE_DIR}/sdk/include)
target_link_libraries(kinglet_options INTERFACE kinglet_warnings Threads::Threads)
target_compile_options(kinglet_options INTERFACE
  -ffp-contract=off      # an fma is written where it is meant: equal bits whatever the compiler fuses
  -fno-math-errno)

# kl_module(name DEPS module... LIBS library...): the .cpp files of this folder (and its subfolders) as static library kl_<name>, part of the kinglet library.
function(kl_module name)
  cmake_parse_arguments(M "" "" "DEPS;LIBS;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(pattern ${M_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  if(NOT sources)
    add_library(kl_${name} INTERFACE)
    target_link_libraries(kl_${name} INTERFACE kinglet_options)
    return()
  endif()
  add_library(kl_${name} STATIC ${sources})
  target_link_libraries(kl_${name} PUBLIC kinglet_options)
  foreach(dep ${M_DEPS})
    target_link_libraries(kl_${name} PUBLIC kl_${dep})
  endforeach()
  if(M_LIBS)
    target_link_libraries(kl_${name} PRIVATE ${M_LIBS})
  endif()
  set_property(GLOBAL APPEND PROPERTY KINGLET_MODULES kl_${name})
  set_property(GLOBAL APPEND PROPERTY KINGLET_LIBS ${M_LIBS})
endfunction()

# kl_test(name MODULES module... [LIBS library...] [TIER fast|vulkan|cuda|full] [ALONE]): tests/<name>/*.cpp as one GoogleTest executable test_<name>.
# ALONE: names of its files clash, so that they cannot be compiled together (KINGLET_UNITY_TESTS).
function(kl_test name)
  cmake_parse_arguments(T "ALONE" "TIER" "MODULES;LIBS" ${ARGN})
  if(NOT T_TIER)
    set(T_TIER fast)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  set_target_properties(test_${name} PROPERTIES KINGLET_PROGRAM ON)
  if(KINGLET_UNITY_TESTS AND NOT T_ALONE)
    set_target_properties(test_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
  endif()
  foreach(module ${T_MODULES})
    target_link_libraries(test_${name} PRIVATE kl_${module})
  endforeach()
  target_link_libraries(test_${name} PRIVATE kinglet_options GTest::gtest GTest::gmock GTest::gtest_main ${T_LIBS})
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(test_${name} PRIVATE KL_TEST_DATA="${PROJECT_SOURCE_DIR}/tests")
  # Compiling the tests is most of a test run. They call the code under test, which keeps its own options, and do little work themselves.
  target_compile_options(test_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  add_test(NAME ${name} COMMAND test_${name})
  set_tests_properties(${name} PROPERTIES LABELS ${T_TIER} TIMEOUT 1800)
endfunction()
