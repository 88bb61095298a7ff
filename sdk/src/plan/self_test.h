// Does this device compute what the reference computes? Asked once when a device is first used, since feature bits lie in both directions: a
// linear of every weight format and a small decoder layer, with the device's own choice of kernels, against the reference device with the same
// activation and cache formats. Some milliseconds.
#pragma once
#include "backend/device.h"

namespace kl {

// ok, or device_lost naming the format and the distance (or the device's own error). Neither device is changed.
Status self_test(Device& device, Device& reference);

}  // namespace kl
