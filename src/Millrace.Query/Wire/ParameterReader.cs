using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Millrace.Query.Wire;

/// <summary>Turns a bound value of the wire into what the engine binds; see <see cref="SqlSession"/> for the .NET types.</summary>
internal static class ParameterReader
{
    /// <exception cref="SqlException">The bytes are no value of that type.</exception>
    public static object? Read(int oid, bool binary, byte[]? value, int number)
    {
        if (value is null)
            return null;
        return binary ? ReadBinary(oid, value, number) : ReadText(oid, FrameReader.Text(value), number);
    }

    private static object ReadText(int oid, string text, int number)
    {
        var trimmed = text.Trim();
        return oid switch
        {
            16 => ReadBoolean(trimmed) ?? throw Invalid("boolean", text, number),
            21 => short.TryParse(trimmed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
                ? value : throw InvalidNumber("smallint", text, number),
            23 => int.TryParse(trimmed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
                ? value : throw InvalidNumber("integer", text, number),
            20 or 26 => long.TryParse(trimmed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
                ? value : throw InvalidNumber("bigint", text, number),
            700 => float.TryParse(trimmed, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
                ? value : throw Invalid("real", text, number),
            701 => double.TryParse(trimmed, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
                ? value : throw Invalid("double precision", text, number),
            17 => ReadBytea(text, number),
            2950 => Guid.TryParse(trimmed, out var value) ? value : throw Invalid("uuid", text, number),
            _ => text,
        };
    }

    private static object ReadBinary(int oid, byte[] value, int number)
    {
        switch (oid)
        {
            case 16:
                Expect(1);
                return value[0] != 0;
            case 21:
                Expect(2);
                return BinaryPrimitives.ReadInt16BigEndian(value);
            case 23:
                Expect(4);
                return BinaryPrimitives.ReadInt32BigEndian(value);
            case 26:
                Expect(4);
                return (long)BinaryPrimitives.ReadUInt32BigEndian(value);
            case 20:
                Expect(8);
                return BinaryPrimitives.ReadInt64BigEndian(value);
            case 700:
                Expect(4);
                return BinaryPrimitives.ReadSingleBigEndian(value);
            case 701:
                Expect(8);
                return BinaryPrimitives.ReadDoubleBigEndian(value);
            case 17:
                return value;
            case 2950:
                Expect(16);
                return new Guid(value, bigEndian: true);
            case 1700:
                return NumericText.ReadBinary(value);
            case 3802:
                return FrameReader.Text(value.Length > 0 && value[0] == 1 ? value.AsSpan(1) : value);
            case 1082 or 1083 or 1114 or 1184 or 1186:
                return ReadMoment(oid, value, Expect);
        }
        if (PostgresTypes.ElementOf(oid) is { } element)
            return ReadArray(element, value, number);
        if (PostgresTypes.Find(oid) is { IsText: true } or { Oid: 114 } || oid == 0)
            return FrameReader.Text(value);
        throw new SqlException(
            $"binary format of type {oid} is not supported for parameter ${number}", SqlStates.FeatureNotSupported, hint: "send it as text");

        void Expect(int bytes)
        {
            if (value.Length != bytes)
                throw new SqlException($"incorrect binary data format in bind parameter {number}", SqlStates.InvalidBinaryRepresentation);
        }
    }

    private static string ReadMoment(int oid, byte[] value, Action<int> expect)
    {
        Span<byte> text = stackalloc byte[128];
        int written;
        switch (oid)
        {
            case 1082:
                expect(4);
                var days = BinaryPrimitives.ReadInt32BigEndian(value);
                written = DateTimeText.WriteDate(text, days switch
                {
                    int.MaxValue => int.MaxValue,
                    int.MinValue => -int.MaxValue,
                    _ => days + DateBinary.Epoch,
                });
                break;
            case 1083:
                expect(8);
                written = DateTimeText.WriteTime(text, BinaryPrimitives.ReadInt64BigEndian(value));
                break;
            case 1186:
                expect(16);
                written = DateTimeText.WriteInterval(
                    text, BinaryPrimitives.ReadInt32BigEndian(value.AsSpan(12)), BinaryPrimitives.ReadInt32BigEndian(value.AsSpan(8)),
                    BinaryPrimitives.ReadInt64BigEndian(value));
                break;
            default:
                expect(8);
                var micros = BinaryPrimitives.ReadInt64BigEndian(value) switch
                {
                    long.MaxValue => long.MaxValue,
                    long.MinValue => -long.MaxValue,
                    var sent => sent + TimestampBinary.Epoch,
                };
                written = oid == 1114
                    ? DateTimeText.WriteTimestamp(text, micros)
                    : DateTimeText.WriteTimestampTz(text, micros, TimeZoneInfo.Utc);
                break;
        }
        return Encoding.UTF8.GetString(text[..written]);
    }

    /// <summary>A one-dimensional array as PostgreSQL's text, which <see cref="ArrayText"/> turns into the engine's.</summary>
    private static string ReadArray(PostgresType element, byte[] value, int number)
    {
        var reader = new FrameReader(value);
        var dimensions = reader.ReadInt32();
        _ = reader.ReadInt32();
        var oid = reader.ReadInt32();
        if (dimensions == 0)
            return "{}";
        if (dimensions != 1)
            throw new SqlException($"arrays of {dimensions} dimensions are not supported for parameter ${number}", SqlStates.FeatureNotSupported);
        if (oid != element.Oid && !(element.IsText && PostgresTypes.Find(oid) is { IsText: true }))
            throw new SqlException($"wrong element type in array parameter ${number}", SqlStates.DatatypeMismatch);
        var count = reader.ReadInt32();
        _ = reader.ReadInt32();
        var text = new StringBuilder("{");
        for (var i = 0; i < count; i++)
        {
            if (i > 0)
                text.Append(',');
            var length = reader.ReadInt32();
            if (length == -1)
            {
                text.Append("NULL");
                continue;
            }
            var item = ReadBinary(oid, reader.ReadBytes(length).ToArray(), number);
            var plain = item as string ?? (item is byte[] bytes ? "\\x" + Convert.ToHexStringLower(bytes) : Convert.ToString(item, CultureInfo.InvariantCulture)!);
            text.Append('"').Append(plain.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)).Append('"');
        }
        return text.Append('}').ToString();
    }

    private static bool? ReadBoolean(string text) => text.ToLowerInvariant() switch
    {
        "t" or "true" or "y" or "yes" or "on" or "1" => true,
        "f" or "false" or "n" or "no" or "off" or "0" => false,
        _ => null,
    };

    private static byte[] ReadBytea(string text, int number)
    {
        if (!text.StartsWith("\\x", StringComparison.Ordinal))
            return Encoding.UTF8.GetBytes(text);
        try
        {
            return Convert.FromHexString(text.AsSpan(2));
        }
        catch (FormatException)
        {
            throw Invalid("bytea", text, number);
        }
    }

    private static SqlException InvalidNumber(string type, string text, int number) =>
        text.Length > 0 && decimal.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _)
            ? new SqlException($"value \"{text}\" is out of range for type {type} (parameter ${number})", SqlStates.NumericOutOfRange)
            : Invalid(type, text, number);

    private static SqlException Invalid(string type, string text, int number)
    {
        var shown = text.Length > 80 ? text[..80] + "..." : text;
        return new SqlException($"invalid input syntax for type {type}: \"{shown}\" (parameter ${number})", SqlStates.InvalidTextRepresentation);
    }
}
