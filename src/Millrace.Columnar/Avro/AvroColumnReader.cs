using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Millrace.Columnar.Json;

namespace Millrace.Columnar.Avro;

/// <summary>Reads values of one <see cref="AvroNode"/> into one column; each call appends one row or throws.</summary>
internal sealed unsafe class AvroColumnReader
{
    private readonly AvroNode _node;
    private readonly ColumnBuilder _builder;
    private readonly Field _field;
    private readonly TypeKind _kind;
    private readonly AvroKind _written;
    private readonly string? _logical;
    private readonly Way _way;

    // Microseconds in a unit of the writer's times; below zero: units in a microsecond; 0 where the number itself must tell.
    private readonly long _factor;

    // Decimals of the column stay below it.
    private readonly Int128 _bound;
    private readonly AvroColumnReader[] _branches;
    private readonly AvroJsonText _json;

    /// <exception cref="AvroException">Values of this kind do not go into such a column.</exception>
    public AvroColumnReader(AvroNode node, Field field, ColumnBuilder builder, AvroJsonText json)
    {
        _node = node;
        _builder = builder;
        _field = field;
        _kind = field.Type.Kind;
        _json = json;
        _written = node.Writer.Kind;
        // What the writer says of its numbers is true of them; the reader's word counts where the writer has none.
        _logical = node.Writer.LogicalType ?? node.Reader.LogicalType;
        _factor = _logical switch
        {
            "timestamp-millis" or "local-timestamp-millis" => 1000,
            "timestamp-micros" or "local-timestamp-micros" => 1,
            "timestamp-nanos" or "local-timestamp-nanos" => -1000,
            _ => 0,
        };
        _bound = 1;
        for (var i = 0; i < field.Type.Precision; i++)
            _bound *= 10;
        _way = WayOf();
        _branches = [.. node.Branches.Select(b => new AvroColumnReader(b, field, builder, json))];
        if (node.Fault is null && _branches.Length == 0 && !Fits())
            throw new AvroException($"column {field.Name}: {node.Writer} does not go into {field.Type}; declare it {AvroTypes.TypeOf(node.Reader)}");
    }

    public void Read(ref AvroReader reader)
    {
        // A column that may be null is a union: its branch is found here, so that most values take one call.
        var at = this;
        while (at._way == Way.Branches)
            at = at._branches[reader.ReadIndex(at._branches.Length)];
        at.ReadValue(ref reader);
    }

    private void ReadValue(ref AvroReader reader)
    {
        switch (_way)
        {
            case Way.Null:
                _builder.AppendNull();
                return;
            case Way.Long:
                _builder.Append(reader.ReadLong());
                return;
            case Way.Int:
                _builder.Append(reader.ReadInt());
                return;
            case Way.Double:
                _builder.Append(reader.ReadDouble());
                return;
            case Way.Text when reader.ReadBytes() is var text && Utf8.IsValid(text):
                _builder.AppendBytes(text);
                return;
            case Way.Text:
                throw new AvroException($"column {_field.Name}: the text is not UTF-8");
            case Way.Fault:
                throw new AvroException($"column {_field.Name}: {_node.Fault}");
        }
        switch (_written)
        {
            case AvroKind.Null:
                AppendNull();
                break;
            case AvroKind.Int:
                Append((long)reader.ReadInt());
                break;
            case AvroKind.Long:
                Append(reader.ReadLong());
                break;
            case AvroKind.Float:
                Append((double)reader.ReadFloat());
                break;
            case AvroKind.Double:
                Append(reader.ReadDouble());
                break;
            case AvroKind.Boolean:
                Append(reader.ReadBoolean());
                break;
            case AvroKind.String or AvroKind.Bytes:
                AppendBytes(reader.ReadBytes());
                break;
            case AvroKind.Fixed:
                AppendBytes(reader.ReadFixed(_node.Writer.Size));
                break;
            case AvroKind.Enum:
                var symbol = reader.ReadIndex(_node.Symbols.Length);
                _builder.AppendBytes(_node.Symbols[symbol]
                    ?? throw new AvroException($"column {_field.Name}: the symbol {_node.Writer.Symbols[symbol]} is none of the reader's, which has no default"));
                break;
            default:
                _builder.AppendBytes(_json.Write(_node, ref reader));
                break;
        }
    }

    /// <summary>The common ways, told once instead of at each value.</summary>
    private enum Way : byte
    {
        Other,
        Long,
        Int,
        Double,
        Text,
        Null,
        Branches,
        Fault,
    }

    private Way WayOf() => _node.Branches.Length > 0 ? Way.Branches
        : _node.Fault is not null ? Way.Fault
        : (_written, _kind) switch
        {
            (AvroKind.Null, _) when _field.Nullable => Way.Null,
            (AvroKind.Long, TypeKind.Int64) => Way.Long,
            (AvroKind.Long, TypeKind.Timestamp or TypeKind.TimestampTz) when _factor == 1 => Way.Long,
            (AvroKind.Int, TypeKind.Int32) => Way.Int,
            (AvroKind.Double, TypeKind.Float64) => Way.Double,
            (AvroKind.String, TypeKind.Utf8) => Way.Text,
            _ => Way.Other,
        };

    private bool Fits() => _written switch
    {
        AvroKind.Null => true,
        AvroKind.Boolean => _kind is TypeKind.Boolean or TypeKind.Utf8,
        AvroKind.Int or AvroKind.Long => _kind is not (TypeKind.Boolean or TypeKind.Binary),
        AvroKind.Float or AvroKind.Double => IsInteger || _kind is TypeKind.Float32 or TypeKind.Float64 or TypeKind.Utf8,
        AvroKind.String => _kind is TypeKind.Utf8 or TypeKind.Binary or TypeKind.Date32 or TypeKind.Time64 or TypeKind.Timestamp or TypeKind.TimestampTz,
        AvroKind.Bytes or AvroKind.Fixed when _logical == "decimal" => _kind is TypeKind.Decimal128 or TypeKind.Float64 or TypeKind.Binary,
        AvroKind.Bytes or AvroKind.Fixed => _kind is TypeKind.Utf8 or TypeKind.Binary,
        _ => _kind == TypeKind.Utf8,
    };

    private bool IsInteger => _kind is TypeKind.Int8 or TypeKind.Int16 or TypeKind.Int32 or TypeKind.Int64
        or TypeKind.UInt8 or TypeKind.UInt16 or TypeKind.UInt32 or TypeKind.UInt64;

    private void AppendNull()
    {
        if (!_field.Nullable)
            throw new AvroException($"column {_field.Name} is null and may not be");
        _builder.AppendNull();
    }

    private void Append(bool value)
    {
        if (_kind == TypeKind.Boolean)
            _builder.AppendBoolean(value);
        else
            _builder.AppendBytes(value ? "true"u8 : "false"u8);
    }

    private void Append(long value)
    {
        switch (_kind)
        {
            case TypeKind.Int64:
                _builder.Append(value);
                break;
            case TypeKind.Int32 when value is >= int.MinValue and <= int.MaxValue:
                _builder.Append((int)value);
                break;
            case TypeKind.Timestamp or TypeKind.TimestampTz:
                _builder.Append(Micros(value));
                break;
            case TypeKind.Time64:
                _builder.Append(TimeOfDay(value));
                break;
            case TypeKind.Date32 when value is >= int.MinValue and <= int.MaxValue:
                _builder.Append((int)value);
                break;
            case TypeKind.Float64:
                _builder.Append((double)value);
                break;
            case TypeKind.Float32:
                _builder.Append((float)value);
                break;
            case TypeKind.Decimal128:
                AppendDecimal(value, 0);
                break;
            case TypeKind.Utf8:
                var room = _builder.ReserveBytes(20);
                Utf8Formatter.TryFormat(value, room, out var length);
                _builder.CommitBytes(length);
                break;
            case TypeKind.Int16 when value is >= short.MinValue and <= short.MaxValue:
                _builder.Append((short)value);
                break;
            case TypeKind.Int8 when value is >= sbyte.MinValue and <= sbyte.MaxValue:
                _builder.Append((sbyte)value);
                break;
            case TypeKind.UInt64 when value >= 0:
                _builder.Append((ulong)value);
                break;
            case TypeKind.UInt32 when value is >= 0 and <= uint.MaxValue:
                _builder.Append((uint)value);
                break;
            case TypeKind.UInt16 when value is >= 0 and <= ushort.MaxValue:
                _builder.Append((ushort)value);
                break;
            case TypeKind.UInt8 when value is >= 0 and <= byte.MaxValue:
                _builder.Append((byte)value);
                break;
            default:
                throw OutOfRange(value.ToString(CultureInfo.InvariantCulture));
        }
    }

    private long Micros(long value)
    {
        // A bare number: as in JSON, told apart by its size (seconds, milliseconds, microseconds, nanoseconds).
        var factor = _factor != 0 ? _factor : value switch
        {
            > -100_000_000_000 and < 100_000_000_000 => 1_000_000,
            > -100_000_000_000_000 and < 100_000_000_000_000 => 1000,
            > -100_000_000_000_000_000 and < 100_000_000_000_000_000 => 1,
            _ => -1000,
        };
        if (factor < 0)
            return (long)Math.Floor(value / (decimal)-factor);
        var micros = (Int128)value * factor;
        return micros >= long.MinValue && micros <= long.MaxValue ? (long)micros : throw OutOfRange(value.ToString(CultureInfo.InvariantCulture));
    }

    private long TimeOfDay(long value)
    {
        var micros = _logical == "time-millis" && value is >= 0 and <= 86_400_000 ? value * 1000 : value;
        return micros is >= 0 and <= 86_400_000_000 ? micros : throw OutOfRange(value.ToString(CultureInfo.InvariantCulture));
    }

    private void Append(double value)
    {
        if (_kind == TypeKind.Float64)
        {
            _builder.Append(value);
        }
        else if (_kind == TypeKind.Float32)
        {
            _builder.Append((float)value);
        }
        else if (_kind == TypeKind.Utf8)
        {
            var room = _builder.ReserveBytes(32);
            Utf8Formatter.TryFormat(value, room, out var length);
            _builder.CommitBytes(length);
        }
        else if (Math.Floor(value) == value && Math.Abs(value) < 9.2e18)
        {
            Append((long)value);
        }
        else
        {
            throw OutOfRange(value.ToString(CultureInfo.InvariantCulture));
        }
    }

    private void AppendBytes(ReadOnlySpan<byte> value)
    {
        switch (_kind)
        {
            case TypeKind.Binary:
                _builder.AppendBytes(value);
                break;
            case TypeKind.Utf8 when _written == AvroKind.Fixed && _logical == "uuid" && value.Length == 16:
                var room = _builder.ReserveBytes(36);
                Utf8Formatter.TryFormat(new Guid(value, bigEndian: true), room, out _);
                _builder.CommitBytes(36);
                break;
            case TypeKind.Utf8 when Utf8.IsValid(value):
                _builder.AppendBytes(value);
                break;
            case TypeKind.Utf8:
                throw new AvroException($"column {_field.Name}: the text is not UTF-8");
            case TypeKind.Decimal128:
                AppendDecimal(Unscaled(value), _node.Writer.Scale);
                break;
            case TypeKind.Float64:
                _builder.Append((double)Unscaled(value) / Math.Pow(10, _node.Writer.Scale));
                break;
            default:
                AppendTimeText(value);
                break;
        }
    }

    /// <summary>Two's complement, most significant byte first (Avro 1.12, Decimal).</summary>
    private Int128 Unscaled(ReadOnlySpan<byte> value)
    {
        Int128 number = value.Length > 0 && (value[0] & 0x80) != 0 ? -1 : 0;
        var sign = (byte)(number == 0 ? 0 : 0xFF);
        while (value.Length > 16)
        {
            if (value[0] != sign)
                throw new AvroException($"column {_field.Name}: a decimal of {value.Length} bytes does not fit {_field.Type}");
            value = value[1..];
        }
        foreach (var b in value)
            number = (number << 8) | b;
        return number;
    }

    private void AppendDecimal(Int128 value, int scale)
    {
        var fits = true;
        for (; scale < _field.Type.Scale && fits; scale++)
        {
            fits = value < Int128.MaxValue / 10 && value > Int128.MinValue / 10;
            value *= 10;
        }
        for (; scale > _field.Type.Scale && fits; scale--)
        {
            fits = value % 10 == 0;
            value /= 10;
        }
        // Precision is the number of digits that are kept.
        if (!fits || value >= _bound || value <= -_bound)
            throw new AvroException($"column {_field.Name}: the decimal does not fit {_field.Type}");
        _builder.Append(value);
    }

    private void AppendTimeText(ReadOnlySpan<byte> value)
    {
        fixed (byte* text = value)
        {
            switch (_kind)
            {
                case TypeKind.Timestamp or TypeKind.TimestampTz when JsonTimes.TryTimestamp(text, text + value.Length, out var micros):
                    _builder.Append(micros);
                    return;
                case TypeKind.Date32 when JsonTimes.TryDate(text, text + value.Length, out var days):
                    _builder.Append(days);
                    return;
                case TypeKind.Time64 when JsonTimes.TryTime(text, text + value.Length, out var time):
                    _builder.Append(time);
                    return;
            }
        }
        throw OutOfRange(Encoding.UTF8.GetString(value[..Math.Min(value.Length, 64)]));
    }

    private AvroException OutOfRange(string value) => new($"column {_field.Name}: {value} does not fit {_field.Type}");
}
