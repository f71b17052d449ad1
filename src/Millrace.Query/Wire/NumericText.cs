using System.Globalization;

namespace Millrace.Query.Wire;

/// <summary>Decimals as PostgreSQL writes them, in text and in its base-10000 binary form (numeric.c, numeric_send).</summary>
internal static class NumericText
{
    private const int MaxDigits = 40;

    /// <summary>Decimal digits with a point; needs 48 bytes.</summary>
    public static int Write(Span<byte> target, Int128 unscaled, int scale)
    {
        var written = 0;
        if (unscaled < 0)
            target[written++] = (byte)'-';
        Span<byte> digits = stackalloc byte[MaxDigits];
        var count = Digits(unscaled, digits);
        if (scale <= 0)
        {
            if (count == 0)
                digits[count++] = (byte)'0';
            digits[..count].CopyTo(target[written..]);
            return written + count;
        }
        var whole = Math.Max(count - scale, 0);
        if (whole == 0)
            target[written++] = (byte)'0';
        digits[..whole].CopyTo(target[written..]);
        written += whole;
        target[written++] = (byte)'.';
        for (var zeros = scale - count; zeros > 0; zeros--)
            target[written++] = (byte)'0';
        digits[whole..count].CopyTo(target[written..]);
        return written + count - whole;
    }

    public static void WriteBinary(BackendWriter writer, Int128 unscaled, int scale)
    {
        // Pad the whole part on the left and the fraction on the right to groups of four digits.
        Span<byte> digits = stackalloc byte[MaxDigits];
        var count = Digits(unscaled, digits);
        var whole = Math.Max(count - scale, 0);
        var wholeGroups = (whole + 3) / 4;
        var fractionGroups = (scale + 3) / 4;
        Span<byte> padded = stackalloc byte[(wholeGroups + fractionGroups) * 4];
        padded.Fill((byte)'0');
        digits[..whole].CopyTo(padded[(wholeGroups * 4 - whole)..]);
        digits[whole..count].CopyTo(padded[(wholeGroups * 4 + Math.Max(scale - count, 0))..]);
        Span<short> groups = stackalloc short[wholeGroups + fractionGroups];
        for (var i = 0; i < groups.Length; i++)
        {
            var four = padded.Slice(i * 4, 4);
            groups[i] = (short)((four[0] - '0') * 1000 + (four[1] - '0') * 100 + (four[2] - '0') * 10 + (four[3] - '0'));
        }
        var first = 0;
        while (first < groups.Length && groups[first] == 0)
            first++;
        var last = groups.Length;
        while (last > first && groups[last - 1] == 0)
            last--;
        writer.WriteInt16((short)(last - first));
        writer.WriteInt16((short)(last == first ? 0 : wholeGroups - 1 - first));
        writer.WriteInt16(unscaled < 0 ? (short)0x4000 : (short)0);
        writer.WriteInt16((short)scale);
        for (var i = first; i < last; i++)
            writer.WriteInt16(groups[i]);
    }

    /// <summary>The binary form as decimal text.</summary>
    /// <exception cref="ProtocolException">The bytes are not a numeric.</exception>
    public static string ReadBinary(ReadOnlySpan<byte> bytes)
    {
        var reader = new FrameReader(bytes);
        var groups = reader.ReadInt16();
        var weight = reader.ReadInt16();
        var sign = (ushort)reader.ReadInt16();
        var scale = reader.ReadInt16();
        switch (sign)
        {
            case 0xC000:
                return "NaN";
            case 0xD000:
                return "Infinity";
            case 0xF000:
                return "-Infinity";
        }
        if (groups < 0 || scale < 0 || sign is not (0 or 0x4000) || bytes.Length != 8 + groups * 2)
            throw new ProtocolException("invalid binary numeric", SqlStates.InvalidBinaryRepresentation);
        var text = new System.Text.StringBuilder(sign == 0 ? "" : "-");
        var digits = new short[groups];
        for (var i = 0; i < groups; i++)
        {
            digits[i] = reader.ReadInt16();
            if (digits[i] is < 0 or > 9999)
                throw new ProtocolException("invalid binary numeric", SqlStates.InvalidBinaryRepresentation);
        }
        for (var i = 0; i <= weight; i++)
            text.Append((i < groups ? digits[i] : 0).ToString(i == 0 ? "0" : "0000", CultureInfo.InvariantCulture));
        if (weight < 0)
            text.Append('0');
        if (scale == 0)
            return text.ToString();
        text.Append('.');
        var point = text.Length;
        for (var i = weight + 1; text.Length - point < scale; i++)
            text.Append((i >= 0 && i < groups ? digits[i] : 0).ToString("0000", CultureInfo.InvariantCulture));
        text.Length = point + scale;
        return text.ToString();
    }

    private static int Digits(Int128 unscaled, Span<byte> digits)
    {
        int count;
        if (unscaled >= long.MinValue + 1 && unscaled <= long.MaxValue)
            Math.Abs((long)unscaled).TryFormat(digits, out count, default, CultureInfo.InvariantCulture);
        else
            (unscaled < 0 ? (UInt128)(-unscaled) : (UInt128)unscaled).TryFormat(digits, out count, default, CultureInfo.InvariantCulture);
        if (count == 1 && digits[0] == '0')
            return 0;
        return count;
    }
}
