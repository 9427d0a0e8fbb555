/**
 * Official builds of ONNX Runtime report usage to Microsoft, and keep a device id and log files for it, unless this is
 * set before the library is loaded. A worker's own `process.env` would not reach it.
 */
const TELEMETRY_OFF = 'ORT_DISABLE_TELEMETRY';
process.env[TELEMETRY_OFF] ??= '1';

/** Messages of ORT's own warnings (unused initialisers and the like) say nothing to a user. */
export const ERRORS_ONLY = 3;
