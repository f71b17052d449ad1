using System.Globalization;
using System.Text.RegularExpressions;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Language;

/// <summary>
/// The language of checks, by recursive descent. <c>not_null(a, b)</c>, <c>unique(a) within 1h</c>, <c>length(a) between 1 and 9</c>,
/// <c>a [not] between x and y</c>, <c>a [not] in (..)</c>, <c>a [not] matches '..'</c>, <c>a = | != | &lt; | &lt;= | &gt; | &gt;= x</c>.
/// </summary>
internal sealed class CheckParser
{
    /// <summary>The forms that the reference and hints name.</summary>
    public static readonly IReadOnlyList<(string Form, string Meaning)> Forms =
    [
        ("not_null(a, b)", "none of the columns is null"),
        ("a between 0 and 100", "lower <= column <= upper; null passes"),
        ("a > 0", "a comparison with =, !=, <, <=, >, >=; null passes"),
        ("a in ('DE', 'FR')", "the value is one of these; `not in` refuses these"),
        ("a matches '[^@]+@[^@]+'", "a regular expression finds a match in the text; `not matches` refuses it"),
        ("length(a) between 1 and 100", "the text's length in characters; also `length(a) <= 100`"),
        ("unique(a, b) within 1h", "the first row with these values within the event-time span is good, later ones are duplicates"),
    ];

    private static readonly string[] Functions = ["not_null", "unique", "length"];
    private static readonly string[] Operators = ["between", "in", "not", "matches"];

    private readonly string _text;
    private readonly List<TextFault> _faults;
    private readonly IReadOnlyList<Token> _tokens;
    private readonly List<PlacedColumn> _columns = [];
    private readonly List<PlacedLiteral> _literals = [];
    private int _at;

    private CheckParser(string text, List<TextFault> faults)
    {
        _text = text;
        _faults = faults;
        _tokens = Tokens.Of(text, faults);
    }

    /// <summary>The check, or null with at least one fault added.</summary>
    public static CheckSyntax? Parse(string text, List<TextFault> faults)
    {
        var before = faults.Count;
        var parser = new CheckParser(text, faults);
        var plan = faults.Count == before ? parser.ParseCheck() : null;
        if (plan is null || faults.Count > before)
            return null;
        if (parser.Peek.Kind != TokenKind.End)
        {
            var hint = parser.Peek.Is("and") || parser.Peek.Is("or")
                ? "one check, one rule: put the other on its own line"
                : null;
            faults.Add(new TextFault(parser.Peek.Offset, text.Length - parser.Peek.Offset, "bad-check", $"unexpected {parser.Peek.Shown}", hint));
            return null;
        }
        return new CheckSyntax(plan, parser._columns, parser._literals);
    }

    private Token Peek => _tokens[_at];

    private Token Take() => _tokens[_at].Kind == TokenKind.End ? _tokens[_at] : _tokens[_at++];

    private CheckPlan? ParseCheck()
    {
        var first = Peek;
        if (first.Kind is not (TokenKind.Word or TokenKind.QuotedWord))
            return Fail(first, $"a check begins with a column or a rule, not with {first.Shown}", FormsHint);
        if (first.Kind == TokenKind.Word && _tokens[_at + 1].IsSymbol("("))
        {
            Take();
            return first.Value.ToLowerInvariant() switch
            {
                "not_null" => ParseNotNull(),
                "unique" => ParseUnique(),
                "length" => ParseLength(),
                _ => Fail(first, $"there is no rule '{first.Value}'", RuleHint(first.Value)),
            };
        }
        return ParseOverColumn(TakeColumn());
    }

    private NotNullCheck? ParseNotNull() => ParseColumnList() is { } columns ? new NotNullCheck(_text, columns) : null;

    private UniqueCheck? ParseUnique()
    {
        if (ParseColumnList() is not { } columns)
            return null;
        if (!Peek.Is("within"))
        {
            Fail(Peek, $"unique(...) needs a span of time, not {Peek.Shown}", "unique(order_id) within 1h");
            return null;
        }
        Take();
        return TakeDuration() is { } span ? new UniqueCheck(_text, columns, span) : null;
    }

    private LengthCheck? ParseLength()
    {
        Take();
        if (Peek.Kind is not (TokenKind.Word or TokenKind.QuotedWord))
        {
            Fail(Peek, "length(...) needs a column", "length(name) between 1 and 100");
            return null;
        }
        TakeColumn();
        if (!Expect(")"))
            return null;
        var column = _columns[0].Name;
        var token = Take();
        switch (token)
        {
            case { } when token.Is("between"):
                if (TakeLength() is not { } least || !ExpectWord("and") || TakeLength() is not { } most)
                    return null;
                if (least > most)
                {
                    Fail(token, $"no length lies between {least} and {most}", $"between {most} and {least}");
                    return null;
                }
                return new LengthCheck(_text, column, least, most);
            case { Kind: TokenKind.Symbol, Value: "=" or "==" }:
                return TakeLength() is { } exact ? new LengthCheck(_text, column, exact, exact) : null;
            case { Kind: TokenKind.Symbol, Value: "<=" }:
                return TakeLength() is { } upTo ? new LengthCheck(_text, column, 0, upTo) : null;
            case { Kind: TokenKind.Symbol, Value: "<" }:
                return TakeLength() is { } below ? new LengthCheck(_text, column, 0, below - 1) : null;
            case { Kind: TokenKind.Symbol, Value: ">=" }:
                return TakeLength() is { } atLeast ? new LengthCheck(_text, column, atLeast, int.MaxValue) : null;
            case { Kind: TokenKind.Symbol, Value: ">" }:
                return TakeLength() is { } above ? new LengthCheck(_text, column, above + 1, int.MaxValue) : null;
            default:
                Fail(token, $"length(...) is compared or bounded, not followed by {token.Shown}", "length(name) between 1 and 100");
                return null;
        }
    }

    private CheckPlan? ParseOverColumn(string column)
    {
        var token = Take();
        var negated = token.Is("not");
        if (negated)
            token = Take();
        if (token.Is("in"))
            return ParseOneOf(column, negated);
        if (token.Is("matches"))
            return ParseMatches(column, negated);
        if (token.Is("between") && !negated)
            return ParseBetween(column);
        if (token.Is("between"))
            return Fail(token, "there is no 'not between'", $"write two checks: {column} < lower, or {column} > upper");
        if (token.Is("is"))
            return Fail(token, "null is checked by a rule of its own", $"not_null({column})");
        if (token.Kind == TokenKind.Symbol && OperatorOf(token.Value) is { } comparison && !negated)
        {
            return TakeLiteral() is { } literal ? new ComparisonCheck(_text, column, comparison, literal) : null;
        }
        var hint = token.Kind == TokenKind.Word && NearestName.Find(token.Value, Operators) is { } nearest
            ? $"did you mean '{nearest}'?"
            : FormsHint;
        return Fail(token, token.Kind == TokenKind.End ? $"'{column}' alone is no check" : $"unexpected {token.Shown} after '{column}'", hint);
    }

    private BetweenCheck? ParseBetween(string column)
    {
        var start = Peek.Offset;
        if (TakeLiteral() is not { } lower || !ExpectWord("and") || TakeLiteral() is not { } upper)
            return null;
        if (Literals.Compare(lower, upper) is > 0)
        {
            _faults.Add(new TextFault(
                start, _tokens[_at - 1].End - start, "empty-range", "no value lies in this range: the lower bound is above the upper",
                $"between {Literals.Show(upper)} and {Literals.Show(lower)}"));
            return null;
        }
        return new BetweenCheck(_text, column, lower, upper);
    }

    private OneOfCheck? ParseOneOf(string column, bool negated)
    {
        if (!Expect("("))
            return null;
        var values = new List<Literal>();
        do
        {
            if (TakeLiteral() is not { } literal)
                return null;
            values.Add(literal);
        }
        while (TakeComma());
        return Expect(")") ? new OneOfCheck(_text, column, values, negated) : null;
    }

    private MatchesCheck? ParseMatches(string column, bool negated)
    {
        var token = Take();
        if (token.Kind != TokenKind.String)
        {
            Fail(token, $"matches needs a pattern in single quotes, not {token.Shown}", $"{column} matches '^[A-Z]{{2}}$'");
            return null;
        }
        try
        {
            _ = new Regex(token.Value, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (RegexParseException error)
        {
            _faults.Add(new TextFault(
                Math.Min(token.Offset + 1 + error.Offset, token.End - 1), 1, "bad-pattern", $"the pattern is not valid: {Reason(error)}"));
            return null;
        }
        catch (NotSupportedException)
        {
            Fail(token, "the pattern uses a construct that needs backtracking", "look-around, back references and atomic groups are not supported");
            return null;
        }
        return new MatchesCheck(_text, column, token.Value, negated);
    }

    private List<string>? ParseColumnList()
    {
        Take();
        var names = new List<string>();
        do
        {
            if (Peek.Kind is not (TokenKind.Word or TokenKind.QuotedWord))
            {
                Fail(Peek, $"a column's name is expected, not {Peek.Shown}", null);
                return null;
            }
            var token = Peek;
            var name = TakeColumn();
            if (names.Contains(name))
            {
                Fail(token, $"column '{name}' stands twice", null);
                return null;
            }
            names.Add(name);
        }
        while (TakeComma());
        return Expect(")") ? names : null;
    }

    private string TakeColumn()
    {
        var token = Take();
        _columns.Add(new PlacedColumn(token.Value, new Span(token.Offset, token.Length)));
        return token.Value;
    }

    private Literal? TakeLiteral()
    {
        var token = Take();
        if (Literals.Parse(token) is { } literal)
        {
            _literals.Add(new PlacedLiteral(literal, new Span(token.Offset, token.Length)));
            return literal;
        }
        var hint = token.Kind is TokenKind.Word or TokenKind.QuotedWord
            ? $"text stands in single quotes: '{token.Value}'; checks compare a column with constants"
            : "a number, 'text', true or false";
        Fail(token, $"a value is expected, not {token.Shown}", hint);
        return null;
    }

    private int? TakeLength()
    {
        var token = Take();
        if (token.Kind == TokenKind.Number && int.TryParse(token.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var length))
            return length;
        Fail(token, $"a length is a whole number, not {token.Shown}", null);
        return null;
    }

    private TimeSpan? TakeDuration()
    {
        var token = Take();
        var problem = $"a duration is expected, not {token.Shown}";
        if (token.Kind == TokenKind.Number && DurationText.TryParse(token.Value, out var duration, out problem))
            return duration;
        _faults.Add(new TextFault(token.Offset, token.Length, "bad-duration", problem, DurationText.Hint));
        return null;
    }

    private bool TakeComma()
    {
        if (!Peek.IsSymbol(","))
            return false;
        Take();
        return true;
    }

    private bool Expect(string symbol)
    {
        var token = Take();
        if (token.IsSymbol(symbol))
            return true;
        Fail(token, $"'{symbol}' is expected, not {token.Shown}", null);
        return false;
    }

    private bool ExpectWord(string word)
    {
        var token = Take();
        if (token.Is(word))
            return true;
        Fail(token, $"'{word}' is expected, not {token.Shown}", null);
        return false;
    }

    private CheckPlan? Fail(Token token, string message, string? hint)
    {
        _faults.Add(new TextFault(token.Offset, Math.Max(1, token.Length), "bad-check", message, hint));
        return null;
    }

    // "Invalid pattern '(' at offset 1. Not enough )'s.": the place is shown by the caret.
    private static string Reason(RegexParseException error)
    {
        var offset = error.Message.IndexOf($"at offset {error.Offset}. ", StringComparison.Ordinal);
        var reason = offset < 0 ? error.Message : error.Message[(error.Message.IndexOf(". ", offset, StringComparison.Ordinal) + 2)..];
        return BindFault.Sentence(reason);
    }

    private static string? RuleHint(string name) => Operators.Contains(name.ToLowerInvariant())
        ? $"'{name}' stands behind the column: {(name.Equals("matches", StringComparison.OrdinalIgnoreCase) ? "country matches '^[A-Z]{2}$'" : "amount between 0 and 100")}"
        : NearestName.Hint(name, Functions, "the rules are");

    private static string FormsHint => "checks look like: " + string.Join(", ", Forms.Select(f => f.Form).Take(5));

    private static ComparisonOperator? OperatorOf(string symbol) => symbol switch
    {
        "=" or "==" => ComparisonOperator.Equal,
        "!=" or "<>" => ComparisonOperator.NotEqual,
        "<" => ComparisonOperator.Less,
        "<=" => ComparisonOperator.LessOrEqual,
        ">" => ComparisonOperator.Greater,
        ">=" => ComparisonOperator.GreaterOrEqual,
        _ => null,
    };
}
