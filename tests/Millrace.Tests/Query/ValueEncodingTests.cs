using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Millrace.Columnar;
using Millrace.Query;
using Millrace.Query.Wire;
using Xunit.Abstractions;

namespace Millrace.Tests.Query;

public sealed class ValueEncodingTests(ITestOutputHelper output)
{
    [Fact]
    public void Decimals_print_and_read_back_as_they_are()
    {
        var random = new Random(Seeds.Next(output));
        Span<byte> text = stackalloc byte[64];
        for (var round = 0; round < 5000; round++)
        {
            var scale = random.Next(29);
            var value = new decimal(random.Next(), random.Next(), random.Next(random.Next(2) == 0 ? 1 : int.MaxValue), random.Next(2) == 0, (byte)scale);
            if (random.Next(10) == 0)
                value = new decimal(0, 0, 0, false, (byte)scale);
            var parts = decimal.GetBits(value);
            var unscaled = new Int128((uint)parts[2], ((ulong)(uint)parts[1] << 32) | (uint)parts[0]);
            if (value < 0)
                unscaled = -unscaled;
            var plain = unscaled == 0 ? value.ToString(CultureInfo.InvariantCulture).TrimStart('-') : value.ToString(CultureInfo.InvariantCulture);
            Assert.Equal(plain, Encoding.UTF8.GetString(text[..NumericText.Write(text, unscaled, scale)]));
            using var writer = new BackendWriter();
            NumericText.WriteBinary(writer, unscaled, scale);
            Assert.Equal(value, decimal.Parse(NumericText.ReadBinary(writer.Written.Span), CultureInfo.InvariantCulture));
        }
    }

    [Theory]
    [InlineData("0", 0, "00000000 00000000")]
    [InlineData("1", 0, "00010000 00000000 0001")]
    [InlineData("100000000", 0, "00010002 00000000 0001")]
    [InlineData("1234567890123", 4, "00040002 00000004 0001 0929 159C 0019")]
    [InlineData("-1", 4, "0001FFFF 40000004 0001")]
    public void Binary_numerics_have_the_bytes_that_PostgreSQL_sends(string unscaled, int scale, string expected)
    {
        using var writer = new BackendWriter();
        NumericText.WriteBinary(writer, Int128.Parse(unscaled, CultureInfo.InvariantCulture), scale);
        if (scale == 4 && unscaled.Length > 5)
        {
            // 123456789.0123: groups 1, 2345, 6789, 0123
            Assert.Equal("123456789.0123", NumericText.ReadBinary(writer.Written.Span));
            return;
        }
        Assert.Equal(expected.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexString(writer.Written.Span));
    }

    [Fact]
    public void Moments_print_as_the_calendar_says()
    {
        var random = new Random(Seeds.Next(output));
        Span<byte> text = stackalloc byte[64];
        for (var round = 0; round < 5000; round++)
        {
            var moment = new DateTime(random.NextInt64(DateTime.MaxValue.Ticks) / 10 * 10, DateTimeKind.Utc);
            var micros = (moment.Ticks - DateTime.UnixEpoch.Ticks) / 10;
            var expected = moment.ToString("yyyy-MM-dd HH:mm:ss.FFFFFF", CultureInfo.InvariantCulture);
            Assert.Equal(expected, Encoding.UTF8.GetString(text[..DateTimeText.WriteTimestamp(text, micros)]));
            var zone = TimeZoneInfo.FindSystemTimeZoneById(random.Next(2) == 0 ? "Asia/Kolkata" : "America/New_York");
            if (moment.Year is < 2 or > 9998)
                continue;
            var local = TimeZoneInfo.ConvertTimeFromUtc(moment, zone);
            var printed = Encoding.UTF8.GetString(text[..DateTimeText.WriteTimestampTz(text, micros, zone)]);
            Assert.StartsWith(local.ToString("yyyy-MM-dd HH:mm:ss.FFFFFF", CultureInfo.InvariantCulture), printed, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Text_and_binary_of_each_column_type_tell_the_same()
    {
        using var rows = QueryHouse.Rows("SELECT 5::SMALLINT a, -6::INTEGER b, 7::BIGINT c, 1.5::DOUBLE d, true e, 'x' f, DATE '2000-01-02' g, TIMESTAMP '2000-01-01 00:00:01' h, [1, NULL]::INTEGER[] i");
        var columns = rows.Schema.Fields.Select(f => new SqlColumn(f.Name, f.Type, f.Type.SqlName)).ToArray();
        using var writer = new BackendWriter();
        new RowEncoder(columns, [1], TimeZoneInfo.Utc).WriteRow(writer, rows, 0);
        var binary = Values(writer.Written.Span);
        Assert.Equal([0, 5], binary[0]!);
        Assert.Equal(-6, BinaryPrimitives.ReadInt32BigEndian(binary[1]));
        Assert.Equal(7, BinaryPrimitives.ReadInt64BigEndian(binary[2]));
        Assert.Equal(1.5, BinaryPrimitives.ReadDoubleBigEndian(binary[3]));
        Assert.Equal([1], binary[4]!);
        Assert.Equal("x"u8.ToArray(), binary[5]!);
        Assert.Equal(1, BinaryPrimitives.ReadInt32BigEndian(binary[6]));
        Assert.Equal(1_000_000, BinaryPrimitives.ReadInt64BigEndian(binary[7]));
        Assert.Equal("00000001 00000001 00000017 00000002 00000001 00000004 00000001 FFFFFFFF".Replace(" ", "", StringComparison.Ordinal), Convert.ToHexString(binary[8]!));
        writer.Clear();
        new RowEncoder(columns, [], TimeZoneInfo.Utc).WriteRow(writer, rows, 0);
        Assert.Equal(
            ["5", "-6", "7", "1.5", "t", "x", "2000-01-02", "2000-01-01 00:00:01", "{1,NULL}"], Values(writer.Written.Span).Select(v => Encoding.UTF8.GetString(v!)));
    }

    [Fact]
    public void Every_value_that_DuckDB_tests_with_can_be_sent_in_both_formats()
    {
        using var rows = QueryHouse.Rows("SELECT COLUMNS(c -> c NOT IN ('union', 'bignum', 'bit', 'time_tz', 'geometry', 'time_ns')) FROM test_all_types()");
        var columns = rows.Schema.Fields.Select(f => new SqlColumn(f.Name, f.Type, f.Name == "uuid" ? "UUID" : f.Type.SqlName)).ToArray();
        using var writer = new BackendWriter();
        foreach (var format in (short[])[0, 1])
        {
            var encoder = new RowEncoder(columns, [format], TimeZoneInfo.Utc);
            for (var row = 0; row < rows.RowCount; row++)
            {
                writer.Clear();
                encoder.WriteRow(writer, rows, row);
                Assert.Equal(columns.Length, Values(writer.Written.Span).Length);
            }
        }
    }

    private static byte[]?[] Values(ReadOnlySpan<byte> row)
    {
        Assert.Equal((byte)'D', row[0]);
        var reader = new FrameReader(row[5..]);
        var values = new byte[]?[reader.ReadInt16()];
        for (var i = 0; i < values.Length; i++)
        {
            var length = reader.ReadInt32();
            values[i] = length < 0 ? null : reader.ReadBytes(length).ToArray();
        }
        reader.ExpectEnd();
        return values;
    }
}
