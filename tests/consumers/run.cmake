# cmake -DMODE=find_package|pkg_config|add_subdirectory -DSOURCE=repo -DBUILD=kinglet-build -DWORK=folder -DGENERATOR=... -P run.cmake
# Installs the SDK into a folder of its own (or takes its sources), builds an app of MODE against that, and lets it chat with the fixture model.
cmake_minimum_required(VERSION 3.25)
set(prefix ${WORK}/prefix)
set(model ${SOURCE}/tests/data/stories260K.gguf)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output ECHO_ERROR_VARIABLE)
  if(NOT status EQUAL 0)
    string(REPLACE ";" " " shown "${ARGN}")
    message(FATAL_ERROR "${shown} ended with ${status}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
if(NOT MODE STREQUAL "add_subdirectory")
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
endif()

if(MODE STREQUAL "pkg_config")
  file(GLOB pc ${prefix}/lib*/pkgconfig ${prefix}/lib/*/pkgconfig)
  # --prefix moved the tree after kinglet.pc was written for another one, so pkg-config is told; a package manager's prefix is right as it stands.
  set(ENV{PKG_CONFIG_PATH} "${pc}")
  run(pkg-config --define-variable=prefix=${prefix} --cflags --libs kinglet)
  separate_arguments(flags UNIX_COMMAND "${output}")
  run(${C_COMPILER} -std=c11 -Wall -Wextra -Werror ${SOURCE}/tests/consumers/pkg_config/chat.c -o ${WORK}/chat ${flags})
  file(WRITE ${WORK}/input.txt "Once upon a time\nThere was a dog\n")
  set(template "{% for message in messages %}{{ message.content }}{% endfor %}")
  execute_process(COMMAND ${WORK}/chat ${model} "${template}" INPUT_FILE ${WORK}/input.txt
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE problem)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "the chat ended with ${status}: ${problem}")
  endif()
else()
  run(${CMAKE_COMMAND} -S ${SOURCE}/tests/consumers/${MODE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
    -DCMAKE_PREFIX_PATH=${prefix} -DKINGLET_SOURCE=${SOURCE} -DKINGLET_CUDA=OFF)  # (a module for every card takes minutes)
  run(${CMAKE_COMMAND} --build ${WORK}/build)
  run(${WORK}/build/consumer ${model})
endif()
string(STRIP "${output}" output)
string(LENGTH "${output}" length)
if(length LESS 40)
  message(FATAL_ERROR "expected an answer of some length, got \"${output}\"")
endif()
message("${MODE}: ${output}")
