using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Columnar.Kernels;
using Millrace.Streams.Checks;
using Millrace.Streams.Checks.Rules;
using Millrace.Streams.Plans;
using Xunit.Abstractions;

namespace Millrace.Tests.Checks;

public sealed class RowCheckerTests(ITestOutputHelper output)
{
    private static readonly Schema Orders = new(
        new Field("order_id", DataType.Utf8), new Field("amount", DataType.Float64), new Field("quantity", DataType.Int64),
        new Field("country", DataType.Utf8), new Field("paid", DataType.Boolean), new Field("price", new DataType(TypeKind.Decimal128, 12, 2)),
        new Field("ts", DataType.TimestampTz), new Field("day", DataType.Date32));

    [Fact]
    public void Bad_rows_carry_every_reason_and_good_ones_go_on()
    {
        var checker = RowChecker.Compile(
        [
            new NotNullCheck("not_null(order_id, amount)", ["order_id", "amount"]),
            new BetweenCheck("amount between 0 and 100", "amount", new Literal.Integer(0), new Literal.Integer(100)),
            new OneOfCheck("country in ('DE', 'FR')", "country", [new Literal.Text("DE"), new Literal.Text("FR")], false),
            new MatchesCheck("order_id matches '^o-'", "order_id", "^o-", false),
            new LengthCheck("length(order_id) between 1 and 5", "order_id", 1, 5),
        ], Orders);
        using var batch = Rows(
            """{"order_id":"o-1","amount":5,"country":"DE"}""",
            """{"amount":-5,"country":"IT"}""",
            """{"order_id":"o-äöü"}""",
            """{"order_id":"x-4444444444","amount":100.5,"country":"FR"}""");
        var result = checker.Check(batch);
        Assert.Equal([1, 2, 3], result.BadRows());
        Assert.Equal(
            ["not_null(order_id, amount): order_id is null", "amount between 0 and 100: amount = -5", "country in ('DE', 'FR'): country = 'IT'"],
            result.Reasons(1));
        Assert.Equal(["not_null(order_id, amount): amount is null"], result.Reasons(2));
        Assert.Equal(
            [
                "amount between 0 and 100: amount = 100.5", "order_id matches '^o-': order_id = 'x-4444444444'",
                "length(order_id) between 1 and 5: order_id = 'x-4444444444'",
            ],
            result.Reasons(3));
        Assert.Equal(2, result.FailureCount(1));
        using var good = result.TakeGood();
        Assert.Equal(1, good.RowCount);
        Assert.Equal("o-1"u8.ToArray(), good[0].GetBytes(0).ToArray());
    }

    [Fact]
    public void A_long_value_is_cut_in_its_reason()
    {
        var checker = RowChecker.Compile([new LengthCheck("length(order_id) <= 5", "order_id", 0, 5)], Orders);
        using var batch = Rows($$"""{"order_id":"{{new string('x', 500)}}"}""");
        Assert.Equal($"length(order_id) <= 5: order_id = '{new string('x', 64)}...'", checker.Check(batch).Reasons(0).Single());
    }

    [Fact]
    public void A_check_that_does_not_fit_its_column_is_refused()
    {
        var error = Assert.Throws<ArgumentException>(() => RowChecker.Compile(
            [new BetweenCheck("order_id between 1 and 2", "order_id", new Literal.Integer(1), new Literal.Integer(2))], Orders));
        Assert.Contains("order_id is VARCHAR", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => RowChecker.Compile([new NotNullCheck("not_null(nope)", ["nope"])], Orders));
        Assert.Throws<ArgumentException>(() => RowChecker.Compile([new MatchesCheck("country matches '('", "country", "(", false)], Orders));
    }

    [Fact]
    public void Every_rule_decides_as_its_slow_twin_does()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 400; round++)
        {
            using var whole = Rows(Enumerable.Range(0, random.Next(1, 300)).Select(_ => MakeRow(random)).ToArray());
            var start = random.Next(whole.RowCount);
            using var batch = whole.Slice(start, random.Next(whole.RowCount - start + 1));
            var check = MakeCheck(random);
            var result = RowChecker.Compile([check], Orders).Check(batch);
            for (var row = 0; row < batch.RowCount; row++)
                Assert.True(result.Failed(0, row) == Fails(check, batch, row), $"seed {seed}: {check} row {row}: {string.Join(", ", batch.Columns.Select(c => ColumnText.Format(c, row)))}");
        }
    }

    [Fact]
    public void Vector_kernels_equal_their_scalar_twins()
    {
        var random = new Random(Seeds.Next(output));
        Twin(random, r => (sbyte)r.Next());
        Twin(random, r => (byte)r.Next());
        Twin(random, r => (short)r.Next());
        Twin(random, r => (ushort)r.Next());
        Twin(random, r => r.Next(-50, 50));
        Twin(random, r => (uint)r.Next(100) << r.Next(26));
        Twin(random, r => r.NextInt64(-50, 50));
        Twin(random, r => (ulong)r.NextInt64() << 1);
        Twin(random, r => r.Next(10) == 0 ? float.NaN : r.Next(-50, 50) / 4f);
        Twin(random, r => r.Next(10) == 0 ? double.NaN : r.Next(-50, 50) / 4.0);
    }

    private static void Twin<T>(Random random, Func<Random, T> make)
        where T : unmanaged, INumber<T>
    {
        for (var round = 0; round < 200; round++)
        {
            var values = Enumerable.Range(0, random.Next(300)).Select(_ => make(random)).ToArray();
            var (lower, upper, negated) = (make(random), make(random), random.Next(2) == 0);
            var fast = new ulong[(values.Length + 63) / 64];
            var slow = new ulong[fast.Length];
            RangeRule<T>.Fail(values, lower, upper, negated, fast);
            RangeRule<T>.FailScalar(values, lower, upper, negated, slow);
            Assert.Equal(slow, fast);
            var set = Enumerable.Range(0, random.Next(6)).Select(_ => make(random)).ToArray();
            Array.Clear(fast);
            Array.Clear(slow);
            NumberSetRule<T>.Fail(values, set, null, negated, fast);
            NumberSetRule<T>.FailScalar(values, set, null, negated, slow);
            Assert.Equal(slow, fast);
        }
    }

    private static ColumnBatch Rows(params string[] rows)
    {
        using var decoder = new JsonColumnDecoder(Orders);
        foreach (var row in rows)
        {
            var bytes = Encoding.UTF8.GetBytes(row);
            Assert.True(decoder.TryDecode(bytes, out var error), decoder.Render(error, bytes));
        }
        return decoder.Build();
    }

    private static string MakeRow(Random random)
    {
        var fields = new List<string>();
        Maybe("order_id", () => $"\"{Word(random)}\"");
        Maybe("amount", () => (random.Next(-40, 40) / 4.0).ToString(CultureInfo.InvariantCulture));
        Maybe("quantity", () => random.Next(-10, 10).ToString(CultureInfo.InvariantCulture));
        Maybe("country", () => $"\"{Word(random)}\"");
        Maybe("paid", () => random.Next(2) == 0 ? "true" : "false");
        Maybe("price", () => (random.Next(-1000, 1000) / 100m).ToString(CultureInfo.InvariantCulture));
        Maybe("ts", () => (1_700_000_000_000 + random.Next(10)).ToString(CultureInfo.InvariantCulture));
        Maybe("day", () => $"\"2024-01-{random.Next(1, 9):00}\"");
        return "{" + string.Join(",", fields) + "}";

        void Maybe(string name, Func<string> value)
        {
            if (random.Next(5) != 0)
                fields.Add($"\"{name}\":{value()}");
        }
    }

    private static string Word(Random random) => string.Concat(Enumerable.Range(0, random.Next(4)).Select(_ => "abä\U0001F600"[random.Next(3)] is var c && c == 'ä' ? "ä" : c.ToString()));

    private static CheckPlan MakeCheck(Random random)
    {
        var column = Orders[random.Next(Orders.Count)].Name;
        switch (random.Next(6))
        {
            case 0:
                return new NotNullCheck("n", [column, Orders[random.Next(Orders.Count)].Name]);
            case 1 when column is not "paid":
                return new BetweenCheck("b", column, MakeLiteral(random, column), MakeLiteral(random, column));
            case 2:
                return new OneOfCheck("o", column, Enumerable.Range(0, random.Next(1, column == "quantity" ? 30 : 5)).Select(_ => MakeLiteral(random, column)).ToArray(), random.Next(2) == 0);
            case 3:
                return new MatchesCheck("m", random.Next(2) == 0 ? "order_id" : "country", new[] { "^a", "b$", "ä", "a.b", "^.?$" }[random.Next(5)], random.Next(2) == 0);
            case 4:
                return new LengthCheck("l", "country", random.Next(3), random.Next(5));
            default:
                var comparison = (ComparisonOperator)random.Next(column == "paid" ? 2 : 6);
                return new ComparisonCheck("c", column, comparison, MakeLiteral(random, column));
        }
    }

    private static Literal MakeLiteral(Random random, string column)
    {
        switch (column)
        {
            case "order_id" or "country":
                return new Literal.Text(Word(random));
            case "paid":
                return new Literal.Boolean(random.Next(2) == 0);
            case "ts":
                return new Literal.Instant(1_700_000_000_000_000 + (random.Next(20) * 500));
            case "day":
                return new Literal.Instant((19723 * 86_400_000_000L) + (random.Next(16) * 43_200_000_000L));
            default:
                if (random.Next(2) == 0)
                    return new Literal.Integer(random.Next(-10, 10));
                var text = random.Next(3) == 0 ? $"{random.Next(-9, 9)}e{random.Next(-2, 2)}" : (random.Next(-4000, 4000) / 400m).ToString(CultureInfo.InvariantCulture);
                return new Literal.Number(double.Parse(text, CultureInfo.InvariantCulture), text);
        }
    }

    private static bool Fails(CheckPlan check, ColumnBatch batch, int row)
    {
        if (check is NotNullCheck notNull)
            return notNull.Columns.Any(c => batch[c].IsNull(row));
        string name = check switch
        {
            BetweenCheck c => c.Column,
            ComparisonCheck c => c.Column,
            OneOfCheck c => c.Column,
            MatchesCheck c => c.Column,
            LengthCheck c => c.Column,
            _ => throw new InvalidOperationException(),
        };
        var column = batch[name];
        if (column.IsNull(row))
            return false;
        return check switch
        {
            BetweenCheck c => Compare(column, row, c.Lower) < 0 || Compare(column, row, c.Upper) > 0,
            ComparisonCheck c => !(c.Operator switch
            {
                ComparisonOperator.Equal => Compare(column, row, c.Value) == 0,
                ComparisonOperator.NotEqual => Compare(column, row, c.Value) != 0,
                ComparisonOperator.Less => Compare(column, row, c.Value) < 0,
                ComparisonOperator.LessOrEqual => Compare(column, row, c.Value) <= 0,
                ComparisonOperator.Greater => Compare(column, row, c.Value) > 0,
                _ => Compare(column, row, c.Value) >= 0,
            }),
            OneOfCheck c => c.Values.Any(v => Compare(column, row, v) == 0) == c.Negated,
            MatchesCheck c => Regex.IsMatch(ColumnText.Format(column, row)!, c.Pattern) == c.Negated,
            LengthCheck c => ColumnText.Format(column, row)!.EnumerateRunes().Count() is var n && (n < c.Least || n > c.Most),
            _ => throw new InvalidOperationException(),
        };
    }

    private static int Compare(Column column, int row, Literal literal)
    {
        switch (literal)
        {
            case Literal.Text text:
                return Math.Sign(string.CompareOrdinal(ColumnText.Format(column, row), text.Value));
            case Literal.Boolean boolean:
                return column.GetBoolean(row).CompareTo(boolean.Value);
            case Literal.Instant instant:
                return column.Type.Kind == TypeKind.Date32
                    ? (column.Values<int>()[row] * 86_400_000_000L).CompareTo(instant.Micros)
                    : column.Values<long>()[row].CompareTo(instant.Micros);
            default:
                var number = literal is Literal.Integer i ? i.Value : decimal.Parse(((Literal.Number)literal).Written, NumberStyles.Float, CultureInfo.InvariantCulture);
                var value = column.Type.Kind switch
                {
                    TypeKind.Float64 => (decimal)column.Values<double>()[row],
                    TypeKind.Int64 => column.Values<long>()[row],
                    _ => (decimal)(long)column.Values<Int128>()[row] / 100,
                };
                return value.CompareTo(number);
        }
    }
}
