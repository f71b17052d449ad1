using System.Globalization;
using System.Numerics;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks.Rules;

/// <summary>A literal as the exact decimal that was written: Digits * 10^Exponent.</summary>
internal readonly record struct ExactNumber(BigInteger Digits, int Exponent)
{
    // Beyond this no column's value can be; it keeps a hostile exponent from making a giant.
    private const int MostExponent = 400;

    public static ExactNumber Of(Literal literal) => literal switch
    {
        Literal.Integer integer => new ExactNumber(integer.Value, 0),
        Literal.Number number => Parse(number.Written.Length > 0 ? number.Written : number.Value.ToString("R", CultureInfo.InvariantCulture)),
        _ => throw new ArgumentException($"{literal} is not a number"),
    };

    /// <summary>The largest whole number that is not above the value times 10^scale.</summary>
    public BigInteger Floor(int scale) => Divide(scale, up: false);

    /// <summary>The smallest whole number that is not below the value times 10^scale.</summary>
    public BigInteger Ceiling(int scale) => Divide(scale, up: true);

    private static ExactNumber Parse(string text)
    {
        text = text.Replace("_", "", StringComparison.Ordinal);
        var e = text.IndexOfAny(['e', 'E']);
        var written = e < 0 ? BigInteger.Zero : BigInteger.Parse(text.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        var exponent = (int)BigInteger.Clamp(written, -MostExponent, MostExponent);
        var mantissa = e < 0 ? text : text[..e];
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        if (point >= 0)
        {
            exponent -= mantissa.Length - point - 1;
            mantissa = mantissa.Remove(point, 1);
        }
        return new ExactNumber(BigInteger.Parse(mantissa, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture), exponent);
    }

    private BigInteger Divide(int scale, bool up)
    {
        var shift = Exponent + scale;
        if (shift >= 0)
            return Digits * BigInteger.Pow(10, shift);
        var quotient = BigInteger.DivRem(Digits, BigInteger.Pow(10, -shift), out var remainder);
        if (remainder.IsZero)
            return quotient;
        return up ? (remainder.Sign > 0 ? quotient + 1 : quotient) : (remainder.Sign < 0 ? quotient - 1 : quotient);
    }
}
