// <windows.h> without what it defines that nobody wants. For files that are compiled on Windows.
#pragma once

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
