/**
 * @file Turns onnxruntime's telemetry off. From version 1.29 on, its builds for Linux and macOS send events about models
 * and sessions to Microsoft and keep an identifier of the device, unless this variable is set before they are loaded
 * (https://github.com/microsoft/onnxruntime/pull/27379). Set the variable to 0 to have telemetry.
 */
process.env.ORT_DISABLE_TELEMETRY ??= "1";
