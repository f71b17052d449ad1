using System.Globalization;
using Millrace.Columnar;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>The checks of one source, against its columns where they are known.</summary>
internal sealed class CheckRules(DiagnosticBag faults, Schema? schema)
{
    public (IReadOnlyList<CheckPlan> Checks, OnFail OnFail, BreakerPlan? Breaker) Lint(FileList<CheckEntry>? entries)
    {
        var checks = new List<CheckPlan>();
        Text? onFail = null;
        BreakerPlan? breaker = null;
        foreach (var entry in entries?.Items ?? [])
        {
            if (entry.Rule is { } rule && LintRule(rule) is { } check)
            {
                if (checks.Contains(check))
                    faults.Warning(rule.Place, "duplicate-check", "this check stands twice");
                checks.Add(check);
            }
            if (entry.OnFail is { } action)
            {
                if (onFail is not null)
                    faults.Error(action.Place, "duplicate-name", "on_fail stands twice", "keep one");
                onFail = action;
            }
            if (entry.Breaker is { } text)
            {
                if (breaker is not null)
                    faults.Error(text.Place, "duplicate-name", "breaker stands twice", "keep one");
                breaker = LintBreaker(text);
            }
        }
        return (checks, onFail?.Value == "stop" ? OnFail.Stop : OnFail.Quarantine, breaker);
    }

    private CheckPlan? LintRule(Text rule)
    {
        var found = new List<TextFault>();
        var check = CheckParser.Parse(rule.Value, found);
        Places.Tell(rule, found, faults);
        if (check is null || schema is null)
            return check?.Plan;
        var known = true;
        foreach (var column in check.Columns)
        {
            if (schema.IndexOf(column.Name) >= 0)
                continue;
            known = false;
            faults.Error(
                rule.At(column.Span.Offset, column.Span.Length), "unknown-column", $"there is no column '{column.Name}'",
                NearestName.Hint(column.Name, schema.Fields.Select(f => f.Name).ToArray(), "the columns are"));
        }
        return known ? LintTypes(rule, check) : null;
    }

    private CheckPlan? LintTypes(Text rule, CheckSyntax check)
    {
        var column = check.Columns[0];
        var type = schema![schema.IndexOf(column.Name)].Type;
        if (check.Plan is MatchesCheck or LengthCheck && type.Kind != TypeKind.Utf8)
        {
            var what = check.Plan is MatchesCheck ? "a pattern matches text" : "length is of text";
            faults.Error(rule.At(column.Span.Offset, column.Span.Length), "type", $"{what}, and '{column.Name}' is {type}");
            return null;
        }
        if (check.Plan is UniqueCheck)
        {
            var nested = check.Columns.Where(c => schema[schema.IndexOf(c.Name)].Type.Children is not null).ToArray();
            foreach (var bad in nested)
                faults.Error(rule.At(bad.Span.Offset, bad.Span.Length), "type", $"'{bad.Name}' is nested and cannot be compared");
            return nested.Length == 0 ? check.Plan : null;
        }
        if (type.Kind == TypeKind.Boolean && check.Plan is BetweenCheck or ComparisonCheck { Operator: not (ComparisonOperator.Equal or ComparisonOperator.NotEqual) })
        {
            faults.Error(rule.At(column.Span.Offset, column.Span.Length), "type", $"'{column.Name}' is BOOLEAN and has no order", $"{column.Name} = true");
            return null;
        }
        var fitted = new List<Literal>();
        foreach (var literal in check.Literals)
        {
            if (Literals.Fit(literal.Value, type) is { } value)
                fitted.Add(value);
            else
                faults.Error(
                    rule.At(literal.Span.Offset, literal.Span.Length), "type",
                    $"'{column.Name}' is {type} and cannot be compared with {Literals.Show(literal.Value)}", $"it is compared with {Literals.Wanted(type)}");
        }
        if (fitted.Count < check.Literals.Count)
            return null;
        return check.Plan switch
        {
            BetweenCheck between => between with { Lower = fitted[0], Upper = fitted[1] },
            ComparisonCheck comparison => comparison with { Value = fitted[0] },
            OneOfCheck oneOf => oneOf with { Values = fitted },
            _ => check.Plan,
        };
    }

    // 5% over 1m
    private BreakerPlan? LintBreaker(Text text)
    {
        var tokens = Tokens.Of(text.Value, []);
        const string hint = "write a share and a time: 5% over 1m";
        if (tokens.Count != 4 || !tokens[1].Is("over") || !tokens[0].Value.EndsWith('%')
            || !double.TryParse(tokens[0].Value[..^1], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var percent))
        {
            faults.Error(text.Place, "bad-breaker", $"'{text.Value}' is not a breaker", hint);
            return null;
        }
        if (percent is <= 0 or > 100)
        {
            faults.Error(text.At(tokens[0].Offset, tokens[0].Length), "bad-breaker", "the share lies above 0% and up to 100%", hint);
            return null;
        }
        return Durations.Read(tokens[2].Value, text.At(tokens[2].Offset, tokens[2].Length), faults) is { } over
            ? new BreakerPlan(percent / 100, over)
            : null;
    }
}
