# Applies the house rules to one target of ours: warnings are errors, includes start at the root, sanitizers on request.
function(tokenlet_target name)
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
        -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Werror)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        target_compile_options(${name} PRIVATE -fpch-preprocess)  # lets ccache look through precompiled headers
    else()
        # clang does not pass over what libstdc++ 12 deprecates and uses itself, in std::stable_sort.
        target_compile_options(${name} PRIVATE -Wno-deprecated-declarations)
    endif()
    target_compile_definitions(${name} PRIVATE _FILE_OFFSET_BITS=64)
    if(TOKENLET_SANITIZE)
        target_compile_options(${name} PRIVATE -fsanitize=${TOKENLET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        target_link_options(${name} PUBLIC -fsanitize=${TOKENLET_SANITIZE})
        target_compile_definitions(${name} PRIVATE TOKENLET_SANITIZED=1)
    endif()
endfunction()

# tokenlet_test(FOLDER SOURCES ... LIBRARIES ... [LABEL slow] [UNSANITIZED]): one GoogleTest program a folder,
# tokenlet_<folder>_tests, its cases known to ctest one by one. LABEL (quick unless given) sorts them for
# `./dev test --quick`. UNSANITIZED keeps them out of sanitizer builds: for what measures time or memory, or is traced.
# In sanitizer builds every name ends in the sanitizers, so that one ctest run can hold both suites.
function(tokenlet_test folder)
    cmake_parse_arguments(arg "UNSANITIZED" "LABEL" "SOURCES;LIBRARIES" ${ARGN})
    if(arg_UNSANITIZED AND TOKENLET_SANITIZE)
        return()
    endif()
    if(NOT arg_LABEL)
        set(arg_LABEL quick)
    endif()
    if(TOKENLET_SANITIZE)
        set(suffix TEST_SUFFIX " (${TOKENLET_SANITIZE})")
    endif()
    set(name tokenlet_${folder}_tests)
    add_executable(${name} ${arg_SOURCES})
    tokenlet_target(${name})
    target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gmock_main)
    target_precompile_headers(${name} REUSE_FROM tokenlet_test_headers)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST ${suffix} PROPERTIES LABELS ${arg_LABEL} TIMEOUT 300)
endfunction()

# tokenlet_python_tests([PREFIX p.] [LABEL slow] [ENVIRONMENT ...] MODULES m ...): every method test_... of the unittest
# classes in m.py is a test of its own to ctest, named as the C++ ones are: <Class>.<what>.
function(tokenlet_python_tests)
    cmake_parse_arguments(arg "" "PREFIX;LABEL" "MODULES;ENVIRONMENT" ${ARGN})
    if(NOT arg_LABEL)
        set(arg_LABEL quick)
    endif()
    if(TOKENLET_SANITIZE)
        set(suffix " (${TOKENLET_SANITIZE})")
    endif()
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    foreach(module IN LISTS arg_MODULES)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${module}.py)
        file(STRINGS ${module}.py lines REGEX "^class |^    def test_")
        foreach(line IN LISTS lines)
            if(line MATCHES "^class ([A-Za-z]+)")
                set(suite ${CMAKE_MATCH_1})
            elseif(line MATCHES "def test_([A-Za-z0-9_]+)")
                set(name "${arg_PREFIX}${suite}.${CMAKE_MATCH_1}${suffix}")
                add_test(NAME "${name}"
                    COMMAND Python3::Interpreter -B -m unittest -v ${module}.${suite}.test_${CMAKE_MATCH_1}
                    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
                set_tests_properties("${name}" PROPERTIES LABELS ${arg_LABEL} TIMEOUT 1200 ENVIRONMENT "${arg_ENVIRONMENT}"
                    SKIP_REGULAR_EXPRESSION "OK \\(skipped=")
            endif()
        endforeach()
    endforeach()
endfunction()
