using System.Text;
using System.Text.Json;
using Millrace.Columnar;
using Millrace.WebConsole.Wire;

namespace Millrace.Tests.WebConsole;

public sealed class JsonRowsTests
{
    [Fact]
    public void Numbers_that_a_browser_would_round_become_text()
    {
        Assert.Equal("9007199254740991", One(DataType.Int64, 9007199254740991L));
        Assert.Equal("\"9007199254740993\"", One(DataType.Int64, 9007199254740993L));
        Assert.Equal("\"-9223372036854775808\"", One(DataType.Int64, long.MinValue));
        Assert.Equal("\"18446744073709551615\"", One(new DataType(TypeKind.UInt64), ulong.MaxValue));
        Assert.Equal("-0.05", One(new DataType(TypeKind.Decimal128, 9, 2), (Int128)(-5)));
        Assert.Equal("12.345", One(new DataType(TypeKind.Decimal128, 9, 3), (Int128)12345));
        Assert.Equal("\"170141183460469231731687303715884105727\"", One(new DataType(TypeKind.Decimal128, 38, 0), Int128.MaxValue));
        Assert.Equal("\"-1.70141183460469231731687303715884105728\"", One(new DataType(TypeKind.Decimal128, 38, 38), Int128.MinValue));
        Assert.Equal("\"NaN\"", One(DataType.Float64, double.NaN));
        Assert.Equal("\"-Infinity\"", One(new DataType(TypeKind.Float32), float.NegativeInfinity));
    }

    [Fact]
    public void Times_are_iso_8601()
    {
        Assert.Equal("\"2024-06-11T10:20:30.123456Z\"", One(DataType.TimestampTz, 1718101230123456L));
        Assert.Equal("\"1969-12-31T23:59:59.999999\"", One(DataType.Timestamp, -1L));
        Assert.Equal("\"infinity\"", One(DataType.Timestamp, long.MaxValue));
        Assert.Equal("\"1970-01-02\"", One(DataType.Date32, 1));
        Assert.Equal("\"23:59:59.5\"", One(new DataType(TypeKind.Time64), 86_399_500_000L));
    }

    [Fact]
    public void Text_is_escaped_and_null_is_null()
    {
        using var builder = new ColumnBuilder(DataType.Utf8);
        builder.AppendBytes("a\"<\u00e9\n"u8);
        builder.AppendNull();
        using var column = builder.Build();
        Assert.Equal("a\"<\u00e9\n", JsonDocument.Parse(Write(column, 0)).RootElement.GetString());
        Assert.Equal("null", Write(column, 1));
    }

    private static string One<T>(DataType type, T value)
        where T : unmanaged
    {
        using var builder = new ColumnBuilder(type);
        builder.Append(value);
        using var column = builder.Build();
        return Write(column, 0);
    }

    private static string Write(Column column, int row)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            JsonRows.Write(writer, column, row);
        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
