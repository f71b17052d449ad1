using System.Buffers.Text;
using System.Runtime.CompilerServices;

namespace Millrace.Columnar.Json;

/// <summary>Reads one column's values. <see cref="Read"/> appends one row or sets the failure and returns null.</summary>
internal sealed unsafe class JsonValueReader(Field field, ColumnBuilder builder, bool nestedText)
{
    // No time or decimal is longer; longer text is refused unread.
    private const int MostScalarText = 128;

    private readonly TypeKind _kind = field.Type.Kind;
    private readonly bool _nullable = field.Nullable;
    private readonly DataType _type = field.Type;

    public byte* Read(byte* p, byte* closers, int maxDepth, ref ScanFailure failure)
    {
        switch (_kind)
        {
            case TypeKind.Utf8 when *p == '"':
                return ReadText(p, ref failure);
            case TypeKind.Int64 when *p != 'n':
                return ReadInt64(p, ref failure);
            case TypeKind.Float64 when *p != 'n':
                return ReadFloat64(p, ref failure);
        }
        if (*p == 'n')
            return ReadNull(p, ref failure);
        return _kind switch
        {
            TypeKind.Utf8 => ReadNested(p, closers, maxDepth, ref failure),
            TypeKind.Boolean => ReadBoolean(p, ref failure),
            TypeKind.Binary or TypeKind.Date32 or TypeKind.Time64 or TypeKind.Timestamp or TypeKind.TimestampTz or TypeKind.Decimal128 =>
                *p == '"' ? ReadScalarText(p, ref failure) : ReadScalarNumber(p, ref failure),
            TypeKind.Float32 => ReadFloat64(p, ref failure),
            _ => ReadInt64(p, ref failure),
        };
    }

    private byte* ReadNull(byte* p, ref ScanFailure failure)
    {
        if (!JsonScan.IsWord(p, "null"u8))
            return failure.Set(DecodeErrorKind.NotJson, p);
        if (!_nullable)
            return failure.Set(DecodeErrorKind.MissingRequired, p);
        builder.AppendNull();
        return p + 4;
    }

    // The value is a valid token of another type, or no token.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private byte* Refuse(byte* p, DecodeErrorKind kind, ref ScanFailure failure)
    {
        if (*p is (byte)'{' or (byte)'[')
            return failure.Set(DecodeErrorKind.WrongType, p);
        return JsonScan.SkipScalar(p, ref failure) == null ? null : failure.Set(kind, p);
    }

    private byte* ReadText(byte* p, ref ScanFailure failure)
    {
        var start = p + 1;
        var stop = JsonScan.FindStringStop(start);
        var length = (int)(stop - start);
        if (*stop == '"')
        {
            // Room for a whole vector, so that short text is copied by one store.
            fixed (byte* target = builder.ReserveBytes(length + 32))
            {
                if (length <= 32)
                    System.Runtime.Intrinsics.Vector256.Store(System.Runtime.Intrinsics.Vector256.Load(start), target);
                else
                    Unsafe.CopyBlockUnaligned(target, start, (uint)length);
            }
            builder.CommitBytes(length);
            return stop + 1;
        }
        var end = JsonScan.SkipString(stop, ref failure);
        if (end == null)
            return null;
        fixed (byte* target = builder.ReserveBytes((int)(end - start)))
            length = JsonScan.Unescape(start, end - 1, target);
        builder.CommitBytes(length);
        return end;
    }

    private byte* ReadNested(byte* p, byte* closers, int maxDepth, ref ScanFailure failure)
    {
        if (!nestedText || *p is not ((byte)'{' or (byte)'['))
            return Refuse(p, DecodeErrorKind.WrongType, ref failure);
        var end = JsonScan.SkipValue(p, closers, 1, maxDepth, ref failure);
        if (end != null)
            builder.AppendBytes(new ReadOnlySpan<byte>(p, (int)(end - p)));
        return end;
    }

    private byte* ReadBoolean(byte* p, ref ScanFailure failure)
    {
        if (*p == 't' && JsonScan.IsWord(p, "true"u8))
        {
            builder.AppendBoolean(true);
            return p + 4;
        }
        if (*p == 'f' && JsonScan.IsWord(p, "false"u8))
        {
            builder.AppendBoolean(false);
            return p + 5;
        }
        return Refuse(p, DecodeErrorKind.WrongType, ref failure);
    }

    private byte* ReadInt64(byte* p, ref ScanFailure failure)
    {
        var start = p;
        var negative = *p == '-';
        if (negative)
            p++;
        var first = p;
        ulong value = 0;
        uint digit;
        while ((digit = (uint)(*p - '0')) <= 9)
        {
            value = unchecked((value * 10) + digit);
            p++;
        }
        // 18 digits cannot overflow; a leading zero, more digits, a fraction or an exponent take the long way.
        if ((uint)(p - first - 1) >= 18 || (*first == '0' && p - first > 1) || *p is (byte)'.' or (byte)'e' or (byte)'E')
            return ReadWholeSlow(start, ref failure);
        var signed = negative ? -(long)value : (long)value;
        if (_kind == TypeKind.Int64)
        {
            builder.Append(signed);
            return p;
        }
        return AppendWhole(signed) ? p : failure.Set(DecodeErrorKind.OutOfRange, start);
    }

    private byte* ReadWholeSlow(byte* start, ref ScanFailure failure)
    {
        if (*start != '-' && !JsonScan.IsDigit(*start))
            return Refuse(start, DecodeErrorKind.WrongType, ref failure);
        var p = JsonNumber.Scan(start, out var number, ref failure);
        if (p == null)
            return null;
        if (_kind == TypeKind.UInt64)
        {
            if (!number.TryToDecimal(20, 0, out var wide) || wide < 0 || wide > ulong.MaxValue)
                return failure.Set(DecodeErrorKind.OutOfRange, start);
            builder.Append((ulong)wide);
            return p;
        }
        return number.TryToInt64(out var value) && AppendWhole(value) ? p : failure.Set(DecodeErrorKind.OutOfRange, start);
    }

    private bool AppendWhole(long value)
    {
        switch (_kind)
        {
            case TypeKind.Int64:
                builder.Append(value);
                return true;
            case TypeKind.Int32 when value == (int)value:
                builder.Append((int)value);
                return true;
            case TypeKind.Int16 when value == (short)value:
                builder.Append((short)value);
                return true;
            case TypeKind.Int8 when value == (sbyte)value:
                builder.Append((sbyte)value);
                return true;
            case TypeKind.UInt64 when value >= 0:
                builder.Append((ulong)value);
                return true;
            case TypeKind.UInt32 when value == (uint)value:
                builder.Append((uint)value);
                return true;
            case TypeKind.UInt16 when value == (ushort)value:
                builder.Append((ushort)value);
                return true;
            case TypeKind.UInt8 when value == (byte)value:
                builder.Append((byte)value);
                return true;
            default:
                return false;
        }
    }

    private byte* ReadFloat64(byte* p, ref ScanFailure failure)
    {
        if (*p != '-' && !JsonScan.IsDigit(*p))
            return Refuse(p, DecodeErrorKind.WrongType, ref failure);
        var end = JsonNumber.Scan(p, out var number, ref failure);
        if (end == null)
            return null;
        if (_kind == TypeKind.Float64)
        {
            if (!number.TryToDouble(out var value))
                return failure.Set(DecodeErrorKind.OutOfRange, p);
            builder.Append(value);
            return end;
        }
        // Not by way of a double, which would round twice.
        if (!float.TryParse(
            new ReadOnlySpan<byte>(p, (int)(end - p)), System.Globalization.NumberStyles.Float,
            System.Globalization.CultureInfo.InvariantCulture, out var single) || !float.IsFinite(single))
            return failure.Set(DecodeErrorKind.OutOfRange, p);
        builder.Append(single);
        return end;
    }

    private byte* ReadScalarNumber(byte* p, ref ScanFailure failure)
    {
        if (_kind is not (TypeKind.Timestamp or TypeKind.TimestampTz or TypeKind.Decimal128) || (*p != '-' && !JsonScan.IsDigit(*p)))
            return Refuse(p, DecodeErrorKind.WrongType, ref failure);
        var end = JsonNumber.Scan(p, out var number, ref failure);
        if (end == null)
            return null;
        if (_kind == TypeKind.Decimal128)
        {
            if (!number.TryToDecimal(_type.Precision, _type.Scale, out var value))
                return failure.Set(DecodeErrorKind.OutOfRange, p);
            builder.Append(value);
            return end;
        }
        if (!number.TryToMicros(out var micros))
            return failure.Set(DecodeErrorKind.OutOfRange, p);
        builder.Append(micros);
        return end;
    }

    private byte* ReadScalarText(byte* p, ref ScanFailure failure)
    {
        var start = p + 1;
        var stop = JsonScan.FindStringStop(start);
        var end = stop + 1;
        if (*stop != '"' && (end = JsonScan.SkipString(stop, ref failure)) == null)
            return null;
        if (_kind == TypeKind.Binary)
            return ReadBase64(p, start, end, ref failure);
        if (end - start > MostScalarText)
            return failure.Set(DecodeErrorKind.WrongFormat, p);
        // Zeros behind, as the scans of numbers ask for.
        var text = stackalloc byte[MostScalarText + 8];
        var length = end - 1 - start;
        if (*stop == '"')
            Unsafe.CopyBlockUnaligned(text, start, (uint)length);
        else
            length = JsonScan.Unescape(start, end - 1, text);
        *(ulong*)(text + length) = 0;
        return AppendScalarText(text, text + length) switch
        {
            DecodeErrorKind.None => end,
            var kind => failure.Set(kind, p),
        };
    }

    private DecodeErrorKind AppendScalarText(byte* text, byte* end)
    {
        switch (_kind)
        {
            case TypeKind.Timestamp or TypeKind.TimestampTz when JsonTimes.TryTimestamp(text, end, out var micros):
                builder.Append(micros);
                return DecodeErrorKind.None;
            case TypeKind.Date32 when JsonTimes.TryDate(text, end, out var days):
                builder.Append(days);
                return DecodeErrorKind.None;
            case TypeKind.Time64 when JsonTimes.TryTime(text, end, out var time):
                builder.Append(time);
                return DecodeErrorKind.None;
            case TypeKind.Decimal128:
                ScanFailure failure = default;
                if (JsonNumber.Scan(text, out var number, ref failure) != end)
                    return DecodeErrorKind.WrongFormat;
                if (!number.TryToDecimal(_type.Precision, _type.Scale, out var value))
                    return DecodeErrorKind.OutOfRange;
                builder.Append(value);
                return DecodeErrorKind.None;
            default:
                return DecodeErrorKind.WrongFormat;
        }
    }

    private byte* ReadBase64(byte* p, byte* start, byte* end, ref ScanFailure failure)
    {
        fixed (byte* target = builder.ReserveBytes((int)(end - start)))
        {
            var length = JsonScan.Unescape(start, end - 1, target);
            var status = Base64.DecodeFromUtf8InPlace(new Span<byte>(target, length), out var written);
            if (status != System.Buffers.OperationStatus.Done)
                return failure.Set(DecodeErrorKind.WrongFormat, p);
            builder.CommitBytes(written);
        }
        return end;
    }
}
