// The Vulkan API, through volk: functions are loaded from the driver at run time, nothing is linked.
#pragma once
#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <volk.h>
