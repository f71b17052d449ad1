using Millrace.Iceberg;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Tests.Iceberg;

public sealed class ValueTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Fact]
    public void Hashes_are_those_of_the_specification()
    {
        Assert.Equal(2017239379, SingleValue.Hash(PrimitiveType.Int, 34));
        Assert.Equal(2017239379, SingleValue.Hash(PrimitiveType.Long, 34L));
        Assert.Equal(-500754589, SingleValue.Hash(PrimitiveType.DecimalOf(9, 2), (Int128)1420));
        Assert.Equal(-653330422, SingleValue.Hash(PrimitiveType.Date, Days(2017, 11, 16)));
        Assert.Equal(-662762989, SingleValue.Hash(PrimitiveType.Time, new TimeOnly(22, 31, 8).Ticks / 10));
        Assert.Equal(-2047944441, SingleValue.Hash(PrimitiveType.Timestamp, Micros("2017-11-16T22:31:08Z")));
        Assert.Equal(-1207196810, SingleValue.Hash(PrimitiveType.TimestampTz, Micros("2017-11-16T22:31:08.000001Z")));
        Assert.Equal(-1207196810, SingleValue.Hash(new PrimitiveType(PrimitiveKind.TimestampNs), (Micros("2017-11-16T22:31:08.000001Z") * 1000) + 1));
        Assert.Equal(1210000089, SingleValue.Hash(PrimitiveType.String, "iceberg"));
        Assert.Equal(1488055340, SingleValue.Hash(PrimitiveType.Uuid, Guid.Parse("f79c3e09-677c-4bbd-a479-3f349cb785e7")));
        Assert.Equal(-188683207, SingleValue.Hash(PrimitiveType.Binary, new byte[] { 0, 1, 2, 3 }));
    }

    [Theory]
    [InlineData("year", "1969-12-31T23:59:59.999999Z", -1)]
    [InlineData("year", "1970-01-01T00:00:00Z", 0)]
    [InlineData("month", "2017-11-16T22:31:08Z", 574)]
    [InlineData("month", "1969-12-01T00:00:00Z", -1)]
    [InlineData("day", "1969-12-31T23:00:00Z", -1)]
    [InlineData("day", "2017-11-16T22:31:08Z", 17486)]
    [InlineData("hour", "1969-12-31T23:00:00Z", -1)]
    [InlineData("hour", "1969-12-31T22:59:59.999999Z", -2)]
    [InlineData("hour", "2017-11-16T22:31:08Z", 419686)]
    public void Date_transforms_floor_before_1970(string transform, string at, int expected) =>
        Assert.Equal(expected, Transform.Parse(transform).Apply(PrimitiveType.Timestamp, Micros(at)));

    [Fact]
    public void Truncate_floors_numbers_and_cuts_text_at_code_points()
    {
        Assert.Equal(0, Transform.Truncate(10).Apply(PrimitiveType.Int, 9));
        Assert.Equal(-10, Transform.Truncate(10).Apply(PrimitiveType.Int, -1));
        Assert.Equal(-20L, Transform.Truncate(10).Apply(PrimitiveType.Long, -11L));
        Assert.Equal((Int128)1050, Transform.Truncate(50).Apply(PrimitiveType.DecimalOf(9, 2), (Int128)1065));
        Assert.Equal("😀a", Transform.Truncate(2).Apply(PrimitiveType.String, "😀ab"));
        Assert.Equal(new byte[] { 1, 2 }, (byte[])Transform.Truncate(2).Apply(PrimitiveType.Binary, new byte[] { 1, 2, 3 })!);
        Assert.Null(Transform.Truncate(2).Apply(PrimitiveType.String, null));
        Assert.Null(Transform.Void.Apply(PrimitiveType.String, "x"));
    }

    [Fact]
    public void Buckets_are_never_negative()
    {
        for (var i = -1000; i < 1000; i++)
            Assert.InRange((int)Transform.Bucket(16).Apply(PrimitiveType.Int, i)!, 0, 15);
    }

    [Fact]
    public void An_unknown_transform_is_kept_and_refuses_to_write()
    {
        var transform = Transform.Parse("zorder[4]");
        Assert.Equal("zorder[4]", transform.ToString());
        Assert.Throws<IcebergException>(() => transform.Apply(PrimitiveType.Int, 1));
    }

    [Theory]
    [InlineData("0", "00")]
    [InlineData("127", "7F")]
    [InlineData("128", "0080")]
    [InlineData("-1", "FF")]
    [InlineData("-128", "80")]
    [InlineData("-129", "FF7F")]
    [InlineData("99999999999999999999999999999999999999", "4B3B4CA85A86C47A098A223FFFFFFFFF")]
    public void Decimals_take_the_fewest_bytes(string text, string hex)
    {
        var value = Int128.Parse(text);
        Assert.Equal(hex, Convert.ToHexString(SingleValue.EncodeDecimal(value)));
        Assert.Equal(value, SingleValue.DecodeDecimal(Convert.FromHexString(hex)));
    }

    [Fact]
    public void A_bound_written_before_its_column_was_widened_is_read()
    {
        Assert.Equal(5L, SingleValue.Decode(PrimitiveType.Long, SingleValue.Encode(PrimitiveType.Int, 5)));
        Assert.Equal(1.5, SingleValue.Decode(PrimitiveType.Double, SingleValue.Encode(PrimitiveType.Float, 1.5f)));
        Assert.Null(SingleValue.Decode(PrimitiveType.Int, new byte[8]));
    }

    [Fact]
    public void Upper_bounds_are_raised_and_skip_surrogates()
    {
        Assert.Equal("ab", Bounds.UpperText("ab", 2));
        Assert.Equal("ac", Bounds.UpperText("abc", 2));
        Assert.Equal("b", Bounds.UpperText("a\U0010FFFFz", 2));
        Assert.Equal("\uE000", Bounds.UpperText("\uD7FFz", 1));
        Assert.Null(Bounds.UpperText("\U0010FFFF\U0010FFFFz", 2));
        Assert.Equal(new byte[] { 2 }, Bounds.UpperBytes([1, 0xFF, 0], 2));
        Assert.Null(Bounds.UpperBytes([0xFF, 0xFF, 0], 2));
    }

    [Fact]
    public void Bounds_enclose_random_texts()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 2000; round++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Next(0, 20)).Select(_ => char.ConvertFromUtf32(RandomCodePoint(random))));
            var lower = Bounds.LowerText(text, 4);
            Assert.True(SingleValue.Compare(PrimitiveType.String, lower, text) <= 0, $"seed {seed}");
            if (Bounds.UpperText(text, 4) is { } upper)
                Assert.True(SingleValue.Compare(PrimitiveType.String, upper, text) >= 0, $"seed {seed}");
        }

        static int RandomCodePoint(Random random)
        {
            var point = random.Next(4) switch { 0 => random.Next(32, 127), 1 => random.Next(0xD7F0, 0xE010), 2 => 0x10FFFF - random.Next(3), _ => random.Next(0x110000) };
            return point is >= 0xD800 and < 0xE000 ? 0xD7FF : point;
        }
    }

    private static int Days(int year, int month, int day) => new DateOnly(year, month, day).DayNumber - new DateOnly(1970, 1, 1).DayNumber;

    private static long Micros(string at) => (DateTimeOffset.Parse(at) - DateTimeOffset.UnixEpoch).Ticks / 10;
}
