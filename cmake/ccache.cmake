# Compiles through ccache where it is installed. Its settings travel with the build, not with the person: without
# pch_defines and time_macros ccache passes over everything that uses a precompiled header (and GCC needs
# -fpch-preprocess for the same: cmake/target.cmake).
find_program(TOKENLET_CCACHE ccache)
if(TOKENLET_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${TOKENLET_CCACHE})
endif()
