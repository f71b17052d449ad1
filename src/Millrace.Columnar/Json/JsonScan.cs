using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Millrace.Columnar.Json;

/// <summary>Why and where scanning stopped.</summary>
internal unsafe struct ScanFailure
{
    public DecodeErrorKind Kind;
    public byte* At;

    [MethodImpl(MethodImplOptions.NoInlining)]
    public byte* Set(DecodeErrorKind kind, byte* at)
    {
        Kind = kind;
        At = at;
        return null;
    }
}

/// <summary>
/// Strict scanning of JSON (RFC 8259) over bytes that are valid UTF-8 and are followed by at least <see cref="Padding"/> zero bytes: a zero is
/// in no token, so no scan needs a bound. Methods return the byte after what they took, or null after setting the failure.
/// </summary>
internal static unsafe class JsonScan
{
    public const int Padding = 64;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* SkipWhitespace(byte* p)
    {
        if (*p > ' ')
            return p;
        while (*p is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
            p++;
        return p;
    }

    /// <summary>The first quote, backslash or control byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* FindStringStop(byte* p)
    {
        if (!Vector256.IsHardwareAccelerated)
            return FindStringStopScalar(p);
        for (; ; p += Vector256<byte>.Count)
        {
            var bytes = Vector256.Load(p);
            var stops = Vector256.Equals(bytes, Vector256.Create((byte)'"'))
                | Vector256.Equals(bytes, Vector256.Create((byte)'\\'))
                | Vector256.Equals(Vector256.Min(bytes, Vector256.Create((byte)0x1F)), bytes);
            var mask = stops.ExtractMostSignificantBits();
            if (mask != 0)
                return p + BitOperations.TrailingZeroCount(mask);
        }
    }

    /// <summary>The twin of <see cref="FindStringStop"/>.</summary>
    public static byte* FindStringStopScalar(byte* p)
    {
        while (*p >= 0x20 && *p != '"' && *p != '\\')
            p++;
        return p;
    }

    /// <summary>From behind the opening quote to behind the closing one; escapes are checked, lone surrogates refused.</summary>
    public static byte* SkipString(byte* p, ref ScanFailure failure)
    {
        for (; ; )
        {
            p = FindStringStop(p);
            if (*p == '"')
                return p + 1;
            if (*p != '\\')
                return failure.Set(DecodeErrorKind.NotJson, p);
            if (p[1] != 'u')
            {
                if (p[1] is not ((byte)'"' or (byte)'\\' or (byte)'/' or (byte)'b' or (byte)'f' or (byte)'n' or (byte)'r' or (byte)'t'))
                    return failure.Set(DecodeErrorKind.NotJson, p + 1);
                p += 2;
                continue;
            }
            var unit = HexUnit(p + 2);
            if (unit < 0 || unit is >= 0xDC00 and <= 0xDFFF)
                return failure.Set(DecodeErrorKind.NotJson, p);
            if (unit is >= 0xD800 and <= 0xDBFF)
            {
                if (p[6] != '\\' || p[7] != 'u' || HexUnit(p + 8) is < 0xDC00 or > 0xDFFF)
                    return failure.Set(DecodeErrorKind.NotJson, p);
                p += 6;
            }
            p += 6;
        }
    }

    /// <summary>Writes the text of a string that <see cref="SkipString"/> took, without its quotes; never longer than written.</summary>
    public static int Unescape(byte* from, byte* end, byte* to)
    {
        var start = to;
        while (from < end)
        {
            if (*from != '\\')
            {
                *to++ = *from++;
                continue;
            }
            from += 2;
            switch (from[-1])
            {
                case (byte)'b': *to++ = (byte)'\b'; break;
                case (byte)'f': *to++ = (byte)'\f'; break;
                case (byte)'n': *to++ = (byte)'\n'; break;
                case (byte)'r': *to++ = (byte)'\r'; break;
                case (byte)'t': *to++ = (byte)'\t'; break;
                case (byte)'u':
                    var scalar = HexUnit(from);
                    from += 4;
                    if (scalar is >= 0xD800 and <= 0xDBFF)
                    {
                        scalar = 0x10000 + ((scalar - 0xD800) << 10) + (HexUnit(from + 2) - 0xDC00);
                        from += 6;
                    }
                    to += new System.Text.Rune(scalar).EncodeToUtf8(new Span<byte>(to, 4));
                    break;
                default: *to++ = from[-1]; break;
            }
        }
        return (int)(to - start);
    }

    /// <summary>Any number by the grammar.</summary>
    public static byte* SkipNumber(byte* p, ref ScanFailure failure)
    {
        if (*p == '-')
            p++;
        if (*p == '0')
        {
            p++;
        }
        else
        {
            if (!IsDigit(*p))
                return failure.Set(*p is (byte)'I' or (byte)'N' ? DecodeErrorKind.NotFinite : DecodeErrorKind.NotJson, p);
            p = SkipDigits(p);
        }
        if (*p == '.')
        {
            if (!IsDigit(*++p))
                return failure.Set(DecodeErrorKind.NotJson, p);
            p = SkipDigits(p);
        }
        if (*p is (byte)'e' or (byte)'E')
        {
            p++;
            if (*p is (byte)'+' or (byte)'-')
                p++;
            if (!IsDigit(*p))
                return failure.Set(DecodeErrorKind.NotJson, p);
            p = SkipDigits(p);
        }
        return p;
    }

    /// <summary>Any value; nested ones without recursion.</summary>
    /// <param name="p">The value's first byte.</param>
    /// <param name="closers">Room for <paramref name="maxDepth"/> bytes.</param>
    /// <param name="depth">Levels that are open already.</param>
    /// <param name="maxDepth">Levels that may be open.</param>
    /// <param name="failure">Set when null is returned.</param>
    public static byte* SkipValue(byte* p, byte* closers, int depth, int maxDepth, ref ScanFailure failure)
    {
        var floor = depth;
        for (; ; )
        {
            // A value begins at p.
            if (*p is (byte)'{' or (byte)'[')
            {
                if (depth == maxDepth)
                    return failure.Set(DecodeErrorKind.TooDeep, p);
                var closer = (byte)(*p == '{' ? '}' : ']');
                p = SkipWhitespace(p + 1);
                if (*p != closer)
                {
                    closers[depth++] = closer;
                    if (closer == '}' && (p = SkipKey(p, ref failure)) == null)
                        return null;
                    continue;
                }
                p++;
            }
            else if ((p = SkipScalar(p, ref failure)) == null)
            {
                return null;
            }
            // Behind a value: close what ends, or go on to the next value.
            for (; ; )
            {
                if (depth == floor)
                    return p;
                p = SkipWhitespace(p);
                if (*p == ',')
                    break;
                if (*p != closers[depth - 1])
                    return failure.Set(DecodeErrorKind.NotJson, p);
                depth--;
                p++;
            }
            p = SkipWhitespace(p + 1);
            if (closers[depth - 1] == '}' && (p = SkipKey(p, ref failure)) == null)
                return null;
        }
    }

    /// <summary>True, false, null, a number or a string.</summary>
    public static byte* SkipScalar(byte* p, ref ScanFailure failure)
    {
        switch (*p)
        {
            case (byte)'"':
                return SkipString(p + 1, ref failure);
            case (byte)'t' when IsWord(p, "true"u8):
            case (byte)'n' when IsWord(p, "null"u8):
                return p + 4;
            case (byte)'f' when IsWord(p, "false"u8):
                return p + 5;
            case (byte)'-' or (>= (byte)'0' and <= (byte)'9'):
                return SkipNumber(p, ref failure);
            case (byte)'N' or (byte)'I':
                return failure.Set(DecodeErrorKind.NotFinite, p);
            default:
                return failure.Set(DecodeErrorKind.NotJson, p);
        }
    }

    /// <summary>A whole JSON text: one value and white space.</summary>
    public static bool TryText(byte* p, byte* end, byte* closers, int maxDepth, ref ScanFailure failure)
    {
        p = SkipValue(SkipWhitespace(p), closers, 0, maxDepth, ref failure);
        if (p == null)
            return false;
        p = SkipWhitespace(p);
        if (p == end)
            return true;
        failure.Set(DecodeErrorKind.NotJson, p);
        return false;
    }

    public static JsonToken TokenAt(byte* p, byte* end)
    {
        if (p >= end)
            return JsonToken.End;
        return *p switch
        {
            (byte)'{' => JsonToken.Object,
            (byte)'[' => JsonToken.Array,
            (byte)'"' => JsonToken.Text,
            (byte)'t' or (byte)'f' => JsonToken.Boolean,
            (byte)'n' => JsonToken.Null,
            (byte)'-' or (>= (byte)'0' and <= (byte)'9') => JsonToken.Number,
            _ => JsonToken.Other,
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsDigit(byte value) => (uint)(value - '0') <= 9;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsWord(byte* p, ReadOnlySpan<byte> word) => new ReadOnlySpan<byte>(p, word.Length).SequenceEqual(word);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* SkipDigits(byte* p)
    {
        while (IsDigit(*p))
            p++;
        return p;
    }

    // A key, its colon and the white space up to the value.
    private static byte* SkipKey(byte* p, ref ScanFailure failure)
    {
        if (*p != '"')
            return failure.Set(DecodeErrorKind.NotJson, p);
        p = SkipString(p + 1, ref failure);
        if (p == null)
            return null;
        p = SkipWhitespace(p);
        return *p == ':' ? SkipWhitespace(p + 1) : failure.Set(DecodeErrorKind.NotJson, p);
    }

    private static int HexUnit(byte* p)
    {
        var unit = 0;
        for (var i = 0; i < 4; i++)
        {
            var digit = p[i] switch
            {
                >= (byte)'0' and <= (byte)'9' => p[i] - '0',
                >= (byte)'a' and <= (byte)'f' => p[i] - 'a' + 10,
                >= (byte)'A' and <= (byte)'F' => p[i] - 'A' + 10,
                _ => -1,
            };
            // Stops before it would read on: a zero behind the record ends every scan.
            if (digit < 0)
                return -1;
            unit = (unit << 4) | digit;
        }
        return unit;
    }
}
