using System.Numerics;
using System.Text;
using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks.Rules;

/// <summary>Turns a check into the kernel for its column's type.</summary>
internal static class RuleCompiler
{
    private const long MicrosPerDay = 86_400_000_000;

    public static RowRule Compile(int index, CheckPlan plan, Schema schema) => plan switch
    {
        NotNullCheck check => new NotNullRule(index, check, check.Columns.Select(c => IndexOf(plan, schema, c)).ToArray()),
        BetweenCheck check => Range(new Target(index, plan, schema, check.Column), check.Lower, false, check.Upper, false, negated: false),
        ComparisonCheck check => Comparison(new Target(index, plan, schema, check.Column), check.Operator, check.Value),
        OneOfCheck check => OneOf(new Target(index, plan, schema, check.Column), check.Values, check.Negated),
        MatchesCheck check => Matches(new Target(index, plan, schema, check.Column), check),
        LengthCheck check => new Target(index, plan, schema, check.Column) is { Type.Kind: TypeKind.Utf8 } target
            ? new LengthRule(index, check, target.Name, target.Column)
            : throw new ArgumentException($"'{plan.Text}': length is of text, and '{check.Column}' is not"),
        _ => throw new ArgumentException($"'{plan.Text}' is no rule over single rows"),
    };

    /// <exception cref="ArgumentException">The schema has no such column.</exception>
    public static int IndexOf(CheckPlan plan, Schema schema, string column) => schema.IndexOf(column) is >= 0 and var index
        ? index
        : throw new ArgumentException($"'{plan.Text}': there is no column '{column}'");

    private static PatternRule Matches(Target target, MatchesCheck check)
    {
        if (target.Type.Kind != TypeKind.Utf8)
            throw new ArgumentException($"'{check.Text}': a pattern matches text, and '{target.Name}' is {target.Type}");
        try
        {
            return new PatternRule(target.Index, check, target.Name, target.Column);
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            throw new ArgumentException($"'{check.Text}': the pattern is not taken: {error.Message}", error);
        }
    }

    private static RowRule Comparison(Target target, ComparisonOperator comparison, Literal value) => comparison switch
    {
        ComparisonOperator.Equal => OneOf(target, [value], negated: false),
        ComparisonOperator.NotEqual => OneOf(target, [value], negated: true),
        ComparisonOperator.Less => Range(target, null, false, value, true, negated: false),
        ComparisonOperator.LessOrEqual => Range(target, null, false, value, false, negated: false),
        ComparisonOperator.Greater => Range(target, value, true, null, false, negated: false),
        _ => Range(target, value, false, null, false, negated: false),
    };

    private static RowRule Range(Target target, Literal? lower, bool lowerOpen, Literal? upper, bool upperOpen, bool negated)
    {
        switch (target.Type.Kind)
        {
            case TypeKind.Int8: return WholeRange<sbyte>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.Int16: return WholeRange<short>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.Int32: return WholeRange<int>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.Int64: return WholeRange<long>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.UInt8: return WholeRange<byte>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.UInt16: return WholeRange<ushort>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.UInt32: return WholeRange<uint>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.UInt64: return WholeRange<ulong>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.Date32: return WholeRange<int>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.Timestamp or TypeKind.TimestampTz: return WholeRange<long>(target, lower, lowerOpen, upper, upperOpen, negated);
            case TypeKind.Float64:
                var (low, high) = FloatBounds(lower, lowerOpen, upper, upperOpen);
                return new RangeRule<double>(target.Index, target.Plan, target.Name, target.Column, low, high, negated);
            case TypeKind.Float32:
                return SingleRange(target, FloatBounds(lower, lowerOpen, upper, upperOpen), negated);
            case TypeKind.Decimal128:
                var (least, most) = WholeBounds(target, lower, lowerOpen, upper, upperOpen);
                return new DecimalRangeRule(
                    target.Index, target.Plan, target.Name, target.Column, (Int128)BigInteger.Max(least, (BigInteger)Int128.MinValue),
                    (Int128)BigInteger.Min(most, (BigInteger)Int128.MaxValue), negated);
            case TypeKind.Utf8:
                return new TextRangeRule(
                    target.Index, target.Plan, target.Name, target.Column, Bytes(target, lower), lowerOpen, Bytes(target, upper), upperOpen,
                    negated);
            default:
                throw target.Unfit(lower ?? upper!);
        }
    }

    private static RowRule OneOf(Target target, IReadOnlyList<Literal> values, bool negated)
    {
        switch (target.Type.Kind)
        {
            case TypeKind.Utf8:
                return new TextSetRule(
                    target.Index, target.Plan, target.Name, target.Column,
                    values.Select(v => v is Literal.Text text ? text.Value : throw target.Unfit(v)), negated);
            case TypeKind.Boolean:
                var flags = values.Select(v => v is Literal.Boolean flag ? flag.Value : throw target.Unfit(v)).ToArray();
                return new BooleanRule(
                    target.Index, target.Plan, target.Name, target.Column, flags.Contains(true) != negated, flags.Contains(false) != negated);
            case TypeKind.Float64: return NumberSet(target, values, negated, v => (true, FloatOf(target, v)));
            case TypeKind.Float32:
                return NumberSet(
                    target, values, negated, v => (float)FloatOf(target, v) is var held && held == FloatOf(target, v) ? (true, held) : (false, 0f));
            case TypeKind.Int8: return WholeSet<sbyte>(target, values, negated);
            case TypeKind.Int16: return WholeSet<short>(target, values, negated);
            case TypeKind.Int32 or TypeKind.Date32: return WholeSet<int>(target, values, negated);
            case TypeKind.Int64 or TypeKind.Timestamp or TypeKind.TimestampTz: return WholeSet<long>(target, values, negated);
            case TypeKind.UInt8: return WholeSet<byte>(target, values, negated);
            case TypeKind.UInt16: return WholeSet<ushort>(target, values, negated);
            case TypeKind.UInt32: return WholeSet<uint>(target, values, negated);
            case TypeKind.UInt64: return WholeSet<ulong>(target, values, negated);
            case TypeKind.Decimal128: return WholeSet<Int128>(target, values, negated);
            default: throw target.Unfit(values[0]);
        }
    }

    // A literal that no value of the type equals (1.5 in a BIGINT column) is left out of the set.
    private static NumberSetRule<T> WholeSet<T>(Target target, IReadOnlyList<Literal> values, bool negated)
        where T : unmanaged, INumber<T>, IMinMaxValue<T>
        => NumberSet(target, values, negated, v =>
        {
            var (low, high) = WholeBounds(target, v, false, v, false);
            return low == high && low >= BigInteger.CreateChecked(T.MinValue) && low <= BigInteger.CreateChecked(T.MaxValue)
                ? (true, T.CreateChecked(low))
                : (false, T.Zero);
        });

    private static NumberSetRule<T> NumberSet<T>(
        Target target, IReadOnlyList<Literal> values, bool negated, Func<Literal, (bool Held, T Value)> convert)
        where T : unmanaged, INumber<T>
    {
        var set = values.Select(convert).Where(v => v.Held).Select(v => v.Value).Distinct().ToArray();
        return new NumberSetRule<T>(target.Index, target.Plan, target.Name, target.Column, set, negated);
    }

    private static RangeRule<T> WholeRange<T>(Target target, Literal? lower, bool lowerOpen, Literal? upper, bool upperOpen, bool negated)
        where T : unmanaged, INumber<T>, IMinMaxValue<T>
    {
        var (low, high) = WholeBounds(target, lower, lowerOpen, upper, upperOpen);
        var least = BigInteger.CreateChecked(T.MinValue);
        var most = BigInteger.CreateChecked(T.MaxValue);
        low = BigInteger.Max(low, least);
        high = BigInteger.Min(high, most);
        // An empty range must stay empty when it is clamped.
        var (from, to) = low > high ? (T.One, T.Zero) : (T.CreateChecked(low), T.CreateChecked(high));
        return new RangeRule<T>(target.Index, target.Plan, target.Name, target.Column, from, to, negated);
    }

    // Bounds in the column's own whole units, both included; far beyond any type where there is none.
    private static (BigInteger Low, BigInteger High) WholeBounds(Target target, Literal? lower, bool lowerOpen, Literal? upper, bool upperOpen)
    {
        var far = BigInteger.Pow(10, 60);
        var low = -far;
        var high = far;
        if (lower is not null)
            low = lowerOpen ? Units(target, lower, up: false) + 1 : Units(target, lower, up: true);
        if (upper is not null)
            high = upperOpen ? Units(target, upper, up: true) - 1 : Units(target, upper, up: false);
        return (low, high);
    }

    // The literal in the column's units, rounded up or down where it lies between two.
    private static BigInteger Units(Target target, Literal literal, bool up)
    {
        switch (target.Type.Kind)
        {
            case TypeKind.Timestamp or TypeKind.TimestampTz:
                return literal is Literal.Instant instant ? instant.Micros : throw target.Unfit(literal);
            case TypeKind.Date32:
                var micros = literal is Literal.Instant day ? day.Micros : throw target.Unfit(literal);
                var (days, rest) = Math.DivRem(micros, MicrosPerDay);
                return up ? days + (rest > 0 ? 1 : 0) : days - (rest < 0 ? 1 : 0);
            default:
                if (literal is not (Literal.Integer or Literal.Number))
                    throw target.Unfit(literal);
                var exact = ExactNumber.Of(literal);
                return up ? exact.Ceiling(target.Type.Scale) : exact.Floor(target.Type.Scale);
        }
    }

    private static (double Low, double High) FloatBounds(Literal? lower, bool lowerOpen, Literal? upper, bool upperOpen)
    {
        var low = lower is null ? double.NegativeInfinity : FloatOf(null, lower);
        var high = upper is null ? double.PositiveInfinity : FloatOf(null, upper);
        return (lowerOpen ? Math.BitIncrement(low) : low, upperOpen ? Math.BitDecrement(high) : high);
    }

    // The floats inside the range of doubles.
    private static RangeRule<float> SingleRange(Target target, (double Low, double High) bounds, bool negated)
    {
        var low = (float)bounds.Low;
        var high = (float)bounds.High;
        if (low < bounds.Low)
            low = MathF.BitIncrement(low);
        if (high > bounds.High)
            high = MathF.BitDecrement(high);
        return new RangeRule<float>(target.Index, target.Plan, target.Name, target.Column, low, high, negated);
    }

    private static double FloatOf(Target? target, Literal literal) => literal switch
    {
        Literal.Integer integer => integer.Value,
        Literal.Number number => number.Value,
        _ => throw target?.Unfit(literal) ?? new ArgumentException($"{literal} is not a number"),
    };

    private static byte[]? Bytes(Target target, Literal? literal) => literal switch
    {
        null => null,
        Literal.Text text => Encoding.UTF8.GetBytes(text.Value),
        _ => throw target.Unfit(literal),
    };

    private sealed class Target(int index, CheckPlan plan, Schema schema, string name)
    {
        public int Index { get; } = index;

        public CheckPlan Plan { get; } = plan;

        public string Name { get; } = name;

        public int Column { get; } = IndexOf(plan, schema, name);

        public DataType Type { get; } = schema[IndexOf(plan, schema, name)].Type;

        public ArgumentException Unfit(Literal literal) => new($"'{Plan.Text}': {Name} is {Type} and cannot be compared with {literal}");
    }
}
