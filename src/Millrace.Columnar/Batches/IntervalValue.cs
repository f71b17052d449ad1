using System.Runtime.InteropServices;

namespace Millrace.Columnar;

/// <summary>A value of <see cref="TypeKind.Interval"/> as it lies in the column (Arrow's month-day-nano).</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct IntervalValue(int Months, int Days, long Nanoseconds);
