using System.Globalization;
using System.Runtime.CompilerServices;

namespace Millrace.Columnar.Json;

/// <summary>A number as scanned: (-1)^Negative * Mantissa * 10^Exponent, exact unless <see cref="Truncated"/>.</summary>
internal unsafe struct JsonNumber
{
    // 19 digits fit 64 bits.
    private const int MostDigits = 19;
    private const int MostExponent = 100_000;

    // Powers of ten that a double holds exactly.
    private static readonly double[] ExactPowers =
    [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];

    private static readonly UInt128[] Powers = MakePowers();

    public ulong Mantissa;
    public int Exponent;
    public bool Negative;

    /// <summary>More than 19 significant digits were written; the rest is in the text.</summary>
    public bool Truncated;
    public byte* Start;
    public byte* End;

    /// <summary>Scans a number at <paramref name="p"/>; returns the byte behind it, or null.</summary>
    public static byte* Scan(byte* p, out JsonNumber number, ref ScanFailure failure)
    {
        number = default;
        number.Start = p;
        if (*p == '-')
        {
            number.Negative = true;
            p++;
        }
        var first = p;
        ulong mantissa = 0;
        uint digit;
        while ((digit = (uint)(*p - '0')) <= 9)
        {
            mantissa = unchecked((mantissa * 10) + digit);
            p++;
        }
        var whole = (int)(p - first);
        if (whole == 0)
            return failure.Set(*p is (byte)'I' or (byte)'N' ? DecodeErrorKind.NotFinite : DecodeErrorKind.NotJson, p);
        if (*first == '0' && whole > 1)
            return failure.Set(DecodeErrorKind.NotJson, first + 1);
        var exponent = 0;
        var digits = whole;
        if (*p == '.')
        {
            var point = ++p;
            while ((digit = (uint)(*p - '0')) <= 9)
            {
                mantissa = unchecked((mantissa * 10) + digit);
                p++;
            }
            if (p == point)
                return failure.Set(DecodeErrorKind.NotJson, p);
            exponent = -(int)(p - point);
            digits += (int)(p - point);
        }
        if (digits > MostDigits)
            number.Truncated = SignificantDigits(first, p) > MostDigits;
        if (*p is (byte)'e' or (byte)'E')
        {
            p = ScanExponent(p + 1, ref exponent, ref failure);
            if (p == null)
                return null;
        }
        number.Mantissa = mantissa;
        number.Exponent = exponent;
        number.End = p;
        return p;
    }

    /// <summary>The nearest double (ties to even); false when it is beyond the finite ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool TryToDouble(out double value)
    {
        // Clinger's fast path: both factors exact, so the one rounding is right (How to Read Floating Point Numbers Accurately, 1990).
        if (!Truncated && Mantissa <= 1UL << 53 && (uint)(Exponent + 22) <= 44)
        {
            value = Mantissa;
            value = Exponent < 0 ? value / ExactPowers[-Exponent] : value * ExactPowers[Exponent];
            value = Negative ? -value : value;
            return true;
        }
        return TryToDoubleSlow(out value);
    }

    /// <summary>The value times 10^<paramref name="scale"/>; false when that is not whole or has more than <paramref name="precision"/> digits.</summary>
    public readonly bool TryToDecimal(int precision, int scale, out Int128 value)
    {
        value = 0;
        if (!TryDigits(out var digits, out var exponent))
            return false;
        if (digits == 0)
            return true;
        long shift = (long)exponent + scale;
        for (; shift < 0; shift++)
        {
            var (quotient, remainder) = UInt128.DivRem(digits, 10);
            if (remainder != 0)
                return false;
            digits = quotient;
        }
        if (shift >= precision || (shift > 0 && digits >= Powers[precision - (int)shift]))
            return false;
        digits *= Powers[(int)shift];
        if (digits >= Powers[precision])
            return false;
        value = Negative ? -(Int128)digits : (Int128)digits;
        return true;
    }

    /// <summary>The whole number; false when there is a fraction or it does not fit.</summary>
    public readonly bool TryToInt64(out long value)
    {
        value = 0;
        if (!TryToDecimal(20, 0, out var wide) || wide < long.MinValue || wide > long.MaxValue)
            return false;
        value = (long)wide;
        return true;
    }

    /// <summary>
    /// Microseconds since 1970 of a number of seconds (below 10^11, so until the year 5138), milliseconds (below 10^14), microseconds
    /// (below 10^17) or nanoseconds; what is finer than a microsecond is cut off towards the past.
    /// </summary>
    public readonly bool TryToMicros(out long micros)
    {
        micros = 0;
        if (!TryToDouble(out var about))
            return false;
        var unit = Math.Abs(about) switch
        {
            < 1e11 => 6,
            < 1e14 => 3,
            < 1e17 => 0,
            _ => -3,
        };
        if (!TryDigits(out var digits, out var exponent))
            return false;
        long shift = (long)exponent + unit;
        if (shift > 19)
            return digits == 0;
        var cut = false;
        for (; shift < 0 && digits != 0; shift++)
        {
            var (quotient, remainder) = UInt128.DivRem(digits, 10);
            cut |= remainder != 0;
            digits = quotient;
        }
        if (shift > 0)
            digits = digits > Powers[19] ? UInt128.MaxValue : digits * Powers[(int)shift];
        if (digits > (UInt128)long.MaxValue)
            return false;
        micros = Negative ? -(long)digits - (cut ? 1 : 0) : (long)digits;
        return true;
    }

    private static byte* ScanExponent(byte* p, ref int exponent, ref ScanFailure failure)
    {
        var negative = *p == '-';
        if (*p is (byte)'+' or (byte)'-')
            p++;
        if (!JsonScan.IsDigit(*p))
            return failure.Set(DecodeErrorKind.NotJson, p);
        var written = 0;
        for (; JsonScan.IsDigit(*p); p++)
            written = Math.Min(MostExponent, (written * 10) + (*p - '0'));
        exponent += negative ? -written : written;
        return p;
    }

    private static int SignificantDigits(byte* first, byte* end)
    {
        while (first < end && *first is (byte)'0' or (byte)'.')
            first++;
        var count = 0;
        for (; first < end; first++)
            count += *first == '.' ? 0 : 1;
        return count;
    }

    private static UInt128[] MakePowers()
    {
        var powers = new UInt128[39];
        powers[0] = 1;
        for (var i = 1; i < powers.Length; i++)
            powers[i] = powers[i - 1] * 10;
        return powers;
    }

    // All digits, as far as 38 of them go.
    private readonly bool TryDigits(out UInt128 digits, out int exponent)
    {
        (digits, exponent) = (Mantissa, Exponent);
        if (!Truncated)
            return true;
        digits = 0;
        for (var p = Start; p < End && *p is not ((byte)'e' or (byte)'E'); p++)
        {
            if (!JsonScan.IsDigit(*p))
                continue;
            if (digits >= Powers[38])
                return false;
            digits = (digits * 10) + (uint)(*p - '0');
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly bool TryToDoubleSlow(out double value) =>
        double.TryParse(new ReadOnlySpan<byte>(Start, (int)(End - Start)), NumberStyles.Float, CultureInfo.InvariantCulture, out value)
        && double.IsFinite(value);
}
