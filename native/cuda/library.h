// A shared library looked for while the program runs: the driver's, and cuBLASLt.
#pragma once

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace attune::cuda {

/// Null where there is none.
#ifdef _WIN32
inline void* open_library(const char* path) { return reinterpret_cast<void*>(LoadLibraryA(path)); }
inline void* find_symbol(void* from, const char* name) { return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(from), name)); }
#else
inline void* open_library(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
inline void* find_symbol(void* from, const char* name) { return dlsym(from, name); }
#endif

}  // namespace attune::cuda
