using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Xunit.Abstractions;

namespace Millrace.Tests.Columnar;

/// <summary>The decoder against a slow one on System.Text.Json, under random and damaged records.</summary>
public sealed class JsonDecoderTwinTests(ITestOutputHelper output)
{
    private static readonly DataType[] Types =
    [
        DataType.Utf8, DataType.Int64, DataType.Int32, new(TypeKind.UInt64), new(TypeKind.Int8), DataType.Float64, new(TypeKind.Float32), DataType.Boolean,
        DataType.Date32, DataType.TimestampTz, new(TypeKind.Time64), new(TypeKind.Decimal128, 12, 3), new(TypeKind.Decimal128, 38, 10),
    ];

    [Fact]
    public void It_takes_what_the_twin_takes_and_gives_the_same_values()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 300; round++)
        {
            var schema = new Schema(Enumerable.Range(0, random.Next(1, 12))
                .Select(i => new Field($"{"abcdefghijkl"[i]}{new string('x', random.Next(40))}", Types[random.Next(Types.Length)], random.Next(4) > 0)).ToArray());
            using var decoder = new JsonColumnDecoder(schema, new JsonDecoderOptions { MaxDepth = 8 }, capacity: 1);
            var expected = new List<object?[]>();
            for (var i = 0; i < 60; i++)
            {
                var record = MakeRecord(random, schema);
                if (random.Next(4) == 0)
                    Damage(random, ref record);
                var row = Twin(schema, record, 8);
                var taken = decoder.TryDecode(record, out var error);
                Assert.True(taken == row is not null, $"seed {seed}: {Encoding.Latin1.GetString(record)} for {schema}: {decoder.Render(error, record)}");
                if (row is not null)
                    expected.Add(row);
                else
                    Assert.InRange(error.Position, 0, record.Length);
            }
            using var batch = decoder.Build();
            Assert.Equal(expected.Count, batch.RowCount);
            for (var row = 0; row < expected.Count; row++)
            {
                for (var c = 0; c < schema.Count; c++)
                    Assert.Equal(expected[row][c], Value(batch[c], row));
            }
        }
    }

    [Fact]
    public unsafe void The_vector_scan_of_strings_equals_the_scalar_one()
    {
        var random = new Random(Seeds.Next(output));
        var buffer = new byte[300];
        fixed (byte* p = buffer)
        {
            for (var round = 0; round < 20_000; round++)
            {
                random.NextBytes(buffer.AsSpan(0, 200));
                for (var i = 0; i < 200; i++)
                {
                    if (random.Next(40) != 0)
                        buffer[i] |= 0x80;
                }
                var start = p + random.Next(64);
                Assert.Equal((nint)JsonScan.FindStringStopScalar(start), (nint)JsonScan.FindStringStop(start));
            }
        }
    }

    [Fact]
    public void Doubles_are_rounded_right()
    {
        var random = new Random(Seeds.Next(output));
        using var decoder = new JsonColumnDecoder(new Schema(new Field("v", DataType.Float64, false)));
        var texts = new List<string> { "0.1", "-0", "5e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "9007199254740993", "123456789012345678901234567890", "0.000000000000000000000000000001e30" };
        for (var i = 0; i < 20_000; i++)
        {
            texts.Add(random.Next(3) switch
            {
                0 => BitConverter.Int64BitsToDouble(random.NextInt64()).ToString("R", CultureInfo.InvariantCulture),
                1 => $"{random.NextInt64(-1_000_000_000_000, 1_000_000_000_000)}.{random.Next(1_000_000)}e{random.Next(-40, 40)}",
                _ => $"{random.NextInt64()}{random.NextInt64()}.{random.NextInt64()}",
            });
        }
        var kept = texts.Where(t => double.IsFinite(double.Parse(t, CultureInfo.InvariantCulture))).Select(t => t.Replace("E+", "E", StringComparison.Ordinal)).ToArray();
        foreach (var text in kept)
            Assert.True(decoder.TryDecode(Encoding.UTF8.GetBytes($"{{\"v\":{text}}}"), out _), text);
        using var batch = decoder.Build();
        for (var i = 0; i < kept.Length; i++)
            Assert.Equal(BitConverter.DoubleToInt64Bits(double.Parse(kept[i], CultureInfo.InvariantCulture)), BitConverter.DoubleToInt64Bits(batch[0].Values<double>()[i]));
    }

    private static byte[] MakeRecord(Random random, Schema schema)
    {
        var parts = new List<string>();
        foreach (var field in schema.Fields)
        {
            if (random.Next(12) != 0)
                parts.Add($"{Space(random)}\"{field.Name}\"{Space(random)}:{Space(random)}{MakeValue(random, random.Next(12) == 0 ? Types[random.Next(Types.Length)] : field.Type)}{Space(random)}");
            if (random.Next(20) == 0)
                parts.Add($"\"unknown{random.Next(6)}\":{MakeAny(random, 1)}");
        }
        if (random.Next(3) == 0)
            parts = [.. parts.OrderBy(_ => random.Next())];
        return Encoding.UTF8.GetBytes($"{Space(random)}{{{string.Join(",", parts)}}}{Space(random)}");
    }

    private static string Space(Random random) => random.Next(6) switch { 0 => " ", 1 => "\n\t", 2 => "\r ", _ => "" };

    private static string MakeAny(Random random, int depth) => random.Next(depth > 9 ? 2 : 5) switch
    {
        0 => MakeText(random),
        1 => MakeNumber(random),
        2 => "[" + string.Join(",", Enumerable.Range(0, random.Next(3)).Select(_ => MakeAny(random, depth + 1))) + "]",
        3 => "{" + string.Join(",", Enumerable.Range(0, random.Next(3)).Select(i => $"\"k{i}\":{MakeAny(random, depth + 1)}")) + "}",
        _ => new[] { "true", "false", "null" }[random.Next(3)],
    };

    private static string MakeValue(Random random, DataType type)
    {
        if (random.Next(10) == 0)
            return "null";
        switch (type.Kind)
        {
            case TypeKind.Utf8:
                return random.Next(5) == 0 ? MakeAny(random, 1) : MakeText(random);
            case TypeKind.Boolean:
                return random.Next(2) == 0 ? "true" : "false";
            case TypeKind.Date32:
                return $"\"{random.Next(1, 10000):0000}-{random.Next(1, 13):00}-{random.Next(1, 31):00}\"";
            case TypeKind.Time64:
                return $"\"{random.Next(0, 24):00}:{random.Next(0, 60):00}:{random.Next(0, 60):00}.{random.Next(1000)}\"";
            case TypeKind.TimestampTz:
                if (random.Next(4) == 0)
                    return random.NextInt64(-10_000_000_000, 10_000_000_000).ToString(CultureInfo.InvariantCulture) + new[] { "", "000", ".5", "123000", "e0" }[random.Next(5)];
                var zone = new[] { "Z", "", "+01:30", "-0800", "+05", "z" }[random.Next(6)];
                var fraction = random.Next(2) == 0 ? "" : "." + random.Next(1_000_000_000);
                return $"\"{random.Next(1, 10000):0000}-{random.Next(1, 13):00}-{random.Next(1, 29):00}{"T t"[random.Next(3)]}{random.Next(0, 24):00}:{random.Next(0, 60):00}:{random.Next(0, 60):00}{fraction}{zone}\"";
            default:
                return type.Kind == TypeKind.Decimal128 && random.Next(3) == 0 ? $"\"{MakeNumber(random)}\"" : MakeNumber(random);
        }
    }

    private static string MakeNumber(Random random) => random.Next(8) switch
    {
        0 => random.Next(-300, 300).ToString(CultureInfo.InvariantCulture),
        1 => random.NextInt64(long.MinValue, long.MaxValue).ToString(CultureInfo.InvariantCulture),
        2 => random.NextInt64().ToString(CultureInfo.InvariantCulture) + random.Next(100).ToString(CultureInfo.InvariantCulture),
        3 => $"{random.Next(-1000, 1000)}.{random.Next(1000)}",
        4 => $"{random.Next(-1000, 1000)}e{random.Next(-6, 6)}",
        5 => $"{random.NextInt64(1_000_000_000_000)}.{random.Next(100)}0{new string('0', random.Next(4))}E+{random.Next(3)}",
        6 => "-0",
        _ => random.NextDouble().ToString("R", CultureInfo.InvariantCulture),
    };

    private static string MakeText(Random random)
    {
        var text = new StringBuilder("\"");
        var length = random.Next(4) == 0 ? random.Next(100) : random.Next(12);
        for (var i = 0; i < length; i++)
        {
            text.Append(random.Next(30) switch
            {
                0 => "\\n",
                1 => "\\\"",
                2 => "\\u00e9",
                3 => "\\ud83d\\ude00",
                4 => "\\/",
                5 => "é",
                6 => "\U0001F600",
                7 => random.Next(20) == 0 ? "\\ud800" : "x",
                _ => ((char)random.Next('a', 'z')).ToString(),
            });
        }
        return text.Append('"').ToString();
    }

    private static void Damage(Random random, ref byte[] record)
    {
        var at = random.Next(record.Length);
        switch (random.Next(4))
        {
            case 0:
                record = record[..at];
                break;
            case 1:
                record[at] = (byte)random.Next(256);
                break;
            case 2:
                record[at] = (byte)"{}[]\",:\\0-+.eEntf \n\0"[random.Next(20)];
                break;
            default:
                record = [.. record[..at], record[random.Next(record.Length)], .. record[at..]];
                break;
        }
    }

    // The obvious way; null refuses the record.
    private static object?[]? Twin(Schema schema, byte[] record, int maxDepth)
    {
        try
        {
            _ = new UTF8Encoding(false, true).GetString(record);
            using var document = JsonDocument.Parse(record, new JsonDocumentOptions { MaxDepth = maxDepth });
            Walk(document.RootElement);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                return null;
            var row = new object?[schema.Count];
            var names = new HashSet<string>();
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (!names.Add(property.Name))
                    return null;
                var index = schema.IndexOf(property.Name);
                if (index >= 0)
                    row[index] = property.Value.ValueKind == JsonValueKind.Null ? null : Convert(schema[index].Type, property.Value);
            }
            return schema.Fields.Select((f, i) => f.Nullable || row[i] is not null).All(x => x) ? row : null;
        }
        catch (Exception error) when (error is JsonException or DecoderFallbackException or FormatException or OverflowException or InvalidOperationException)
        {
            return null;
        }
    }

    private static void Walk(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                value.GetString();
                break;
            case JsonValueKind.Array:
                foreach (var item in value.EnumerateArray())
                    Walk(item);
                break;
            case JsonValueKind.Object:
                foreach (var property in value.EnumerateObject())
                {
                    _ = property.Name.Length;
                    Walk(property.Value);
                }
                break;
        }
    }

    private static object Convert(DataType type, JsonElement value)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString()! : null;
        var raw = value.GetRawText();
        switch (type.Kind)
        {
            case TypeKind.Utf8:
                return text ?? (value.ValueKind is JsonValueKind.Object or JsonValueKind.Array ? raw : throw new FormatException());
            case TypeKind.Boolean:
                return value.GetBoolean();
            case TypeKind.Int64 or TypeKind.Int32 or TypeKind.Int8 or TypeKind.UInt64:
                var whole = Exact(Number(value), 0);
                return type.Kind switch
                {
                    TypeKind.Int64 => (object)(long)whole,
                    TypeKind.Int32 => (int)whole,
                    TypeKind.Int8 => (sbyte)whole,
                    _ => (ulong)whole,
                };
            case TypeKind.Float64:
                var number = double.Parse(Number(value), CultureInfo.InvariantCulture);
                return double.IsFinite(number) ? number : throw new FormatException();
            case TypeKind.Float32:
                var single = float.Parse(Number(value), CultureInfo.InvariantCulture);
                return float.IsFinite(single) ? single : throw new FormatException();
            case TypeKind.Decimal128:
                if (text is not null && (!IsNumber(text) || text.Length > 120))
                    throw new FormatException();
                var unscaled = Exact(text ?? Number(value), type.Scale);
                return BigInteger.Abs(unscaled) < BigInteger.Pow(10, type.Precision) ? (Int128)unscaled : throw new FormatException();
            case TypeKind.Date32:
                return DateOnly.ParseExact(text ?? throw new FormatException(), "yyyy-MM-dd", CultureInfo.InvariantCulture).DayNumber - 719162;
            case TypeKind.Time64:
                return Clock(text ?? throw new FormatException());
            default:
                return text is not null ? Instant(text) : Epoch(Number(value));
        }
    }

    private static string Number(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetRawText() : throw new FormatException();

    private static bool IsNumber(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Number && document.RootElement.GetRawText() == text;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static (BigInteger Digits, int Exponent) Split(string text)
    {
        var e = text.IndexOfAny(['e', 'E']);
        var exponent = e < 0 ? 0 : (int)BigInteger.Clamp(BigInteger.Parse(text[(e + 1)..], CultureInfo.InvariantCulture), -100_000, 100_000);
        var mantissa = e < 0 ? text : text[..e];
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        if (point >= 0)
            exponent -= mantissa.Length - point - 1;
        return (BigInteger.Parse(mantissa.Replace(".", "", StringComparison.Ordinal), CultureInfo.InvariantCulture), exponent);
    }

    private static BigInteger Exact(string text, int scale)
    {
        var (digits, exponent) = Split(text);
        exponent += scale;
        if (digits.IsZero)
            return digits;
        if (exponent >= 0)
            return exponent > 100 ? throw new OverflowException() : digits * BigInteger.Pow(10, exponent);
        if (exponent < -100)
            throw new FormatException();
        var quotient = BigInteger.DivRem(digits, BigInteger.Pow(10, -exponent), out var remainder);
        return remainder.IsZero ? quotient : throw new FormatException();
    }

    private static long Epoch(string text)
    {
        var magnitude = Math.Abs(double.Parse(text, CultureInfo.InvariantCulture));
        var (digits, exponent) = Split(text);
        exponent += magnitude < 1e11 ? 6 : magnitude < 1e14 ? 3 : magnitude < 1e17 ? 0 : -3;
        if (digits.IsZero)
            return 0;
        if (exponent >= 0)
            return exponent > 40 ? throw new OverflowException() : (long)(digits * BigInteger.Pow(10, exponent));
        if (exponent < -100)
            return digits < 0 ? -1 : 0;
        var divisor = BigInteger.Pow(10, -exponent);
        var quotient = BigInteger.DivRem(digits, divisor, out var remainder);
        return (long)(remainder < 0 ? quotient - 1 : quotient);
    }

    private static long Clock(string text)
    {
        var dot = text.IndexOfAny(['.', ',']);
        var clock = TimeOnly.ParseExact(dot < 0 ? text : text[..dot], ["HH:mm", "HH:mm:ss"], CultureInfo.InvariantCulture).Ticks / 10;
        if (dot < 0)
            return clock;
        var digits = text[(dot + 1)..];
        if (digits.Length == 0 || !digits.All(char.IsAsciiDigit) || dot != 8)
            throw new FormatException();
        return clock + long.Parse(digits.PadRight(6, '0')[..6], CultureInfo.InvariantCulture);
    }

    private static long Instant(string text)
    {
        if (text.Length > 120)
            throw new FormatException();
        if (text.Length < 10)
            throw new FormatException();
        var micros = (DateOnly.ParseExact(text[..10], "yyyy-MM-dd", CultureInfo.InvariantCulture).DayNumber - 719162) * 86_400_000_000L;
        if (text.Length == 10)
            return micros;
        if (text[10] is not ('T' or 't' or ' '))
            throw new FormatException();
        var rest = text[11..];
        var zone = rest.IndexOfAny(['Z', 'z', '+', '-']);
        micros += Clock(zone < 0 ? rest : rest[..zone]);
        if (zone < 0)
            return micros;
        if (rest[zone] is 'Z' or 'z')
            return zone == rest.Length - 1 ? micros : throw new FormatException();
        var digits = rest[(zone + 1)..];
        var offset = TimeOnly.ParseExact(digits, ["HH", "HHmm", "HH:mm"], CultureInfo.InvariantCulture).Ticks / 10;
        return rest[zone] == '-' ? micros + offset : micros - offset;
    }

    private static object? Value(Column column, int row) => column.IsNull(row) ? null : column.Type.Kind switch
    {
        TypeKind.Utf8 => Encoding.UTF8.GetString(column.GetBytes(row)),
        TypeKind.Boolean => column.GetBoolean(row),
        TypeKind.Int8 => column.Values<sbyte>()[row],
        TypeKind.Int32 or TypeKind.Date32 => column.Values<int>()[row],
        TypeKind.UInt64 => column.Values<ulong>()[row],
        TypeKind.Float64 => column.Values<double>()[row],
        TypeKind.Float32 => column.Values<float>()[row],
        TypeKind.Decimal128 => column.Values<Int128>()[row],
        _ => column.Values<long>()[row],
    };
}
