/** @file Quantities in words. */

/** Seconds as `0.4s`, `12s`, `3m 05s`, `2h 07m` or `3d 04h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const [minutes, hours, days] = [60, 3600, 86400].map((size) => Math.floor(whole / size)) as [
    number,
    number,
    number,
  ];
  const two = (value: number) => String(value).padStart(2, "0");
  if (days > 0) return `${days}d ${two(hours % 24)}h`;
  if (hours > 0) return `${hours}h ${two(minutes % 60)}m`;
  if (minutes > 0) return `${minutes}m ${two(whole % 60)}s`;
  return `${whole}s`;
}

/** Bytes as `512 B`, `1.5 KiB`, `3.2 GiB`: powers of 1024. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  // Rounding must not give 1024.0 of a unit.
  while (unit < units.length - 1 && Number(value.toFixed(unit === 0 ? 0 : 1)) >= 1024) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Three or more significant digits without needless ones: `3.21`, `0.000312`, `2900`, `1.2e-7`. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return String(Math.round(value));
  const short = Number(value.toPrecision(3));
  return Math.abs(short) < 1e-6 ? short.toExponential() : String(short);
}
