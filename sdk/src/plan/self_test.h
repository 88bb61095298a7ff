// Does this device compute what the reference computes? Asked once when a device is first used, since feature bits lie in both directions: a
// linear of every weight format and a small decoder layer, with the device's own choice of kernels, against the reference device with the same
// activation and cache formats; the layer with the activation formats that are not the device's choice as well. Where the device says that a row's bits do
// not depend on its bucket (DeviceInfo::one_kernel_class), rows of a step of few are held to that. Some milliseconds on a CPU.
#pragma once
#include "backend/device.h"

namespace kl {

// ok, or device_lost naming the format and the distance (or the device's own error). Neither device is changed.
Status self_test(Device& device, Device& reference);

}  // namespace kl
