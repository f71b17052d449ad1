using System.Runtime.CompilerServices;

namespace Millrace.Columnar.Json;

/// <summary>Dates and times as written (ISO 8601 extended format, RFC 3339), proleptic Gregorian, years 1 to 9999.</summary>
internal static unsafe class JsonTimes
{
    public const long MicrosPerSecond = 1_000_000;
    public const long MicrosPerDay = 86_400 * MicrosPerSecond;

    /// <summary>
    /// Date, then <c>T</c> or a space, hours, minutes, seconds and fraction (each may end it), then <c>Z</c> or an offset (else UTC). Digits
    /// behind the microseconds are cut off.
    /// </summary>
    public static bool TryTimestamp(byte* p, byte* end, out long micros)
    {
        micros = 0;
        if (end - p < 10 || !TryDate(p, p + 10, out var days))
            return false;
        micros = days * MicrosPerDay;
        p += 10;
        if (p == end)
            return true;
        if (*p is not ((byte)'T' or (byte)'t' or (byte)' ') || !TryClock(p + 1, end, out var time, out p))
            return false;
        micros += time;
        if (p == end)
            return true;
        if (*p is (byte)'Z' or (byte)'z')
            return p + 1 == end;
        if (!TryOffset(p, end, out var offset))
            return false;
        micros -= offset;
        return true;
    }

    /// <summary><c>YYYY-MM-DD</c>.</summary>
    public static bool TryDate(byte* p, byte* end, out int days)
    {
        days = 0;
        if (end - p != 10 || p[4] != '-' || p[7] != '-')
            return false;
        var century = Two(p);
        var years = Two(p + 2);
        var month = Two(p + 5);
        var day = Two(p + 8);
        // A negative part makes the whole negative: one test for four.
        if ((century | years | month | day) < 0)
            return false;
        var year = (century * 100) + years;
        if (year == 0 || (uint)(month - 1) > 11 || day == 0 || day > DateTime.DaysInMonth(year, month))
            return false;
        days = DaysFromCivil(year, month, day);
        return true;
    }

    /// <summary><c>HH:MM[:SS[.fraction]]</c> and nothing behind.</summary>
    public static bool TryTime(byte* p, byte* end, out long micros) => TryClock(p, end, out micros, out p) && p == end;

    /// <summary>Days from 1970-01-01 (Howard Hinnant, chrono-Compatible Low-Level Date Algorithms).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int DaysFromCivil(int year, int month, int day)
    {
        year -= month <= 2 ? 1 : 0;
        var era = year / 400;
        var yearOfEra = year - (era * 400);
        var dayOfYear = (((153 * (month + (month > 2 ? -3 : 9))) + 2) / 5) + day - 1;
        var dayOfEra = (yearOfEra * 365) + (yearOfEra / 4) - (yearOfEra / 100) + dayOfYear;
        return (era * 146_097) + dayOfEra - 719_468;
    }

    private static bool TryClock(byte* p, byte* end, out long micros, out byte* rest)
    {
        micros = 0;
        rest = p;
        if (end - p < 5 || p[2] != ':')
            return false;
        var hour = Two(p);
        var minute = Two(p + 3);
        if ((hour | minute) < 0 || hour > 23 || minute > 59)
            return false;
        micros = ((hour * 60L) + minute) * 60 * MicrosPerSecond;
        rest = p + 5;
        if (rest == end || *rest != ':')
            return true;
        if (end - rest < 3 || Two(rest + 1) is var second && (second is < 0 or > 59))
            return false;
        micros += second * MicrosPerSecond;
        rest += 3;
        return rest == end || *rest is not ((byte)'.' or (byte)',') || TryFraction(ref rest, end, ref micros);
    }

    private static bool TryFraction(ref byte* p, byte* end, ref long micros)
    {
        var weight = 100_000;
        var first = ++p;
        for (; p < end && JsonScan.IsDigit(*p); p++)
        {
            micros += (*p - '0') * weight;
            weight /= 10;
        }
        return p > first;
    }

    // +HH, +HHMM or +HH:MM.
    private static bool TryOffset(byte* p, byte* end, out long micros)
    {
        micros = 0;
        if (*p is not ((byte)'+' or (byte)'-'))
            return false;
        var length = end - p;
        var hour = length >= 3 ? Two(p + 1) : -1;
        var minute = length switch
        {
            3 => 0,
            5 => Two(p + 3),
            6 when p[3] == ':' => Two(p + 4),
            _ => -1,
        };
        if ((hour | minute) < 0 || hour > 23 || minute > 59)
            return false;
        micros = ((hour * 60L) + minute) * 60 * MicrosPerSecond * (*p == '-' ? -1 : 1);
        return true;
    }

    // Two digits, or a negative number.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Two(byte* p)
    {
        var tens = (uint)(p[0] - '0');
        var ones = (uint)(p[1] - '0');
        return tens <= 9 && ones <= 9 ? (int)((tens * 10) + ones) : -1;
    }
}
