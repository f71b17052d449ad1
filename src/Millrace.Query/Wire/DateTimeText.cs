using System.Globalization;

namespace Millrace.Query.Wire;

/// <summary>Dates and times as PostgreSQL prints them under DateStyle ISO. All take room for 48 bytes and return the bytes written.</summary>
internal static class DateTimeText
{
    public const int MaxBytes = 48;
    private const long MicrosPerDay = 86_400_000_000;

    public static int WriteDate(Span<byte> target, int days)
    {
        if (days is int.MaxValue or -int.MaxValue)
            return Copy(days > 0 ? "infinity"u8 : "-infinity"u8, target);
        var written = WriteCivil(target, days, out var before);
        return before ? written + Copy(" BC"u8, target[written..]) : written;
    }

    public static int WriteTime(Span<byte> target, long micros)
    {
        var seconds = micros / 1_000_000;
        Two(target, (int)(seconds / 3600));
        target[2] = (byte)':';
        Two(target[3..], (int)(seconds / 60 % 60));
        target[5] = (byte)':';
        Two(target[6..], (int)(seconds % 60));
        return 8 + WriteFraction(target[8..], (int)(micros % 1_000_000));
    }

    public static int WriteTimestamp(Span<byte> target, long micros)
    {
        if (micros is long.MaxValue or -long.MaxValue)
            return Copy(micros > 0 ? "infinity"u8 : "-infinity"u8, target);
        var written = WriteMoment(target, micros, out var before);
        return before ? written + Copy(" BC"u8, target[written..]) : written;
    }

    /// <param name="target">Room.</param>
    /// <param name="micros">UTC.</param>
    /// <param name="zone">Whose wall clock is shown, with its offset behind.</param>
    public static int WriteTimestampTz(Span<byte> target, long micros, TimeZoneInfo zone)
    {
        if (micros is long.MaxValue or -long.MaxValue)
            return Copy(micros > 0 ? "infinity"u8 : "-infinity"u8, target);
        var offset = OffsetOf(micros, zone);
        var written = WriteMoment(target, micros + offset * 1_000_000L, out var before);
        target[written++] = offset < 0 ? (byte)'-' : (byte)'+';
        offset = Math.Abs(offset);
        Two(target[written..], offset / 3600);
        written += 2;
        if (offset % 3600 != 0)
        {
            target[written++] = (byte)':';
            Two(target[written..], offset / 60 % 60);
            written += 2;
        }
        return before ? written + Copy(" BC"u8, target[written..]) : written;
    }

    /// <summary>IntervalStyle postgres (EncodeInterval in datetime.c).</summary>
    public static int WriteInterval(Span<byte> target, int months, int days, long micros)
    {
        var written = 0;
        var isBefore = false;
        written += Part(target, months / 12, "year", written == 0, ref isBefore);
        written += Part(target[written..], months % 12, "mon", written == 0, ref isBefore);
        written += Part(target[written..], days, "day", written == 0, ref isBefore);
        if (written > 0 && micros == 0)
            return written;
        if (written > 0)
            target[written++] = (byte)' ';
        if (micros < 0)
            target[written++] = (byte)'-';
        else if (isBefore)
            target[written++] = (byte)'+';
        var size = (ulong)Math.Abs((decimal)micros);
        var hours = size / 3_600_000_000;
        if (hours < 100)
        {
            Two(target[written..], (int)hours);
            written += 2;
        }
        else
        {
            hours.TryFormat(target[written..], out var digits, default, CultureInfo.InvariantCulture);
            written += digits;
        }
        target[written++] = (byte)':';
        Two(target[written..], (int)(size / 60_000_000 % 60));
        target[written + 2] = (byte)':';
        Two(target[(written + 3)..], (int)(size / 1_000_000 % 60));
        written += 5;
        return written + WriteFraction(target[written..], (int)(size % 1_000_000));
    }

    /// <summary>Seconds east of UTC at that moment.</summary>
    private static int OffsetOf(long micros, TimeZoneInfo zone)
    {
        if (ReferenceEquals(zone, TimeZoneInfo.Utc))
            return 0;
        // TimeZoneInfo knows the years 1 to 9999; beyond them the nearest known year stands in.
        var ticks = Math.Clamp(micros, -62_135_596_800_000_000 + MicrosPerDay, 253_402_300_799_999_999 - MicrosPerDay) * 10;
        return (int)zone.GetUtcOffset(new DateTime(DateTime.UnixEpoch.Ticks + ticks, DateTimeKind.Utc)).TotalSeconds;
    }

    private static int WriteMoment(Span<byte> target, long micros, out bool before)
    {
        var day = Math.DivRem(micros, MicrosPerDay, out var rest);
        if (rest < 0)
        {
            day--;
            rest += MicrosPerDay;
        }
        var written = WriteCivil(target, day, out before);
        target[written++] = (byte)' ';
        return written + WriteTime(target[written..], rest);
    }

    /// <summary>Days to the proleptic Gregorian calendar (Hinnant, chrono-Compatible Low-Level Date Algorithms, 2013).</summary>
    private static int WriteCivil(Span<byte> target, long days, out bool before)
    {
        days += 719_468;
        var era = (days >= 0 ? days : days - 146_096) / 146_097;
        var dayOfEra = (int)(days - era * 146_097);
        var yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365;
        var dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
        var monthFromMarch = (5 * dayOfYear + 2) / 153;
        var day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1;
        var month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
        var year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
        before = year <= 0;
        if (before)
            year = 1 - year;
        int written;
        if (year < 10_000)
        {
            Two(target, (int)year / 100);
            Two(target[2..], (int)year % 100);
            written = 4;
        }
        else
        {
            year.TryFormat(target, out written, default, CultureInfo.InvariantCulture);
        }
        target[written] = (byte)'-';
        Two(target[(written + 1)..], month);
        target[written + 3] = (byte)'-';
        Two(target[(written + 4)..], day);
        return written + 6;
    }

    private static int WriteFraction(Span<byte> target, int micros)
    {
        if (micros == 0)
            return 0;
        target[0] = (byte)'.';
        var digits = 6;
        while (micros % 10 == 0)
        {
            micros /= 10;
            digits--;
        }
        for (var i = digits; i > 0; i--, micros /= 10)
            target[i] = (byte)('0' + micros % 10);
        return digits + 1;
    }

    private static int Part(Span<byte> target, int value, string unit, bool isFirst, ref bool isBefore)
    {
        if (value == 0)
            return 0;
        var written = 0;
        if (!isFirst)
            target[written++] = (byte)' ';
        if (isBefore && value > 0)
            target[written++] = (byte)'+';
        value.TryFormat(target[written..], out var digits, default, CultureInfo.InvariantCulture);
        written += digits;
        target[written++] = (byte)' ';
        foreach (var letter in unit)
            target[written++] = (byte)letter;
        if (value != 1)
            target[written++] = (byte)'s';
        isBefore = value < 0;
        return written;
    }

    private static void Two(Span<byte> target, int value)
    {
        target[1] = (byte)('0' + value % 10);
        target[0] = (byte)('0' + value / 10);
    }

    private static int Copy(ReadOnlySpan<byte> text, Span<byte> target)
    {
        text.CopyTo(target);
        return text.Length;
    }
}
