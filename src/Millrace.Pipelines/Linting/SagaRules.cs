using System.Text.Json;
using System.Text.RegularExpressions;
using Millrace.Pipelines.Files;
using Millrace.Streams.Plans;

namespace Millrace.Pipelines.Linting;

/// <summary>Sagas: their steps' names, and requests that can be sent.</summary>
internal sealed partial class SagaRules(PipelineFile file, DiagnosticBag faults)
{
    public IReadOnlyList<SagaPlan> Lint()
    {
        var sagas = new List<SagaPlan>();
        foreach (var saga in file.Sagas.Entries)
        {
            if (!Linter.IsName(saga.Name.Value))
                faults.Error(saga.Name.Place, "bad-name", "a saga's name has small letters, digits and _, begins with a letter and is at most 63 long", $"e.g. {Linter.SuggestName(saga.Name.Value)}");
            if (saga.Value.Steps.Items.Count == 0)
                faults.Error(saga.Name.Place, "missing-field", $"the saga '{saga.Name.Value}' has no steps", "steps: [{name: pay, do: {post: ...}, undo: {post: ...}}]");
            var steps = new List<SagaStepPlan>();
            foreach (var step in saga.Value.Steps.Items)
            {
                if (step.Name is not { } name || step.Do is not { } act)
                    continue;
                if (steps.Exists(s => s.Name == name.Value))
                    faults.Error(name.Place, "duplicate-name", $"two steps are named '{name.Value}'", "requests carry the step's name, so each has its own");
                if (Call(act, name) is not { } does)
                    continue;
                steps.Add(new SagaStepPlan(name.Value, does, step.Undo is { } undo ? Call(undo, name) : null));
            }
            sagas.Add(new SagaPlan(saga.Name.Value, steps) { Parameters = Parameters(steps) });
        }
        return sagas;
    }

    private SagaCallPlan? Call(SagaCallEntry entry, Text step)
    {
        var given = new[] { ("POST", entry.Post), ("PUT", entry.Put), ("DELETE", entry.Delete) }.Where(static v => v.Item2 is not null).ToArray();
        if (given is not [var (method, address)])
        {
            faults.Error(
                given.Length > 1 ? given[1].Item2!.Place : step.Place, "one-request", $"a request of step '{step.Value}' has {given.Length} methods",
                "write post: ADDRESS, put: ADDRESS or delete: ADDRESS");
            return null;
        }
        if (!Uri.TryCreate(Parameter().Replace(address!.Value, "x"), UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            faults.Error(address.Place, "bad-address", $"'{address.Value}' is no http or https address", "e.g. https://pay.local/charge");
        if (entry.Body is { } body)
            CheckBody(body);
        return new SagaCallPlan(method, address.Value, entry.Body?.Value);
    }

    private void CheckBody(Text body)
    {
        try
        {
            // A number fits wherever a parameter may stand, within quotes or without.
            using var json = JsonDocument.Parse(Parameter().Replace(body.Value, "0"));
        }
        catch (JsonException error)
        {
            faults.Error(body.Place, "bad-json", $"the body is no JSON: {error.Message.Split(". ")[0]}", """e.g. '{"order": "${order}"}'""");
        }
    }

    private static string[] Parameters(IEnumerable<SagaStepPlan> steps) =>
    [
        .. steps.SelectMany(static s => new[] { s.Do, s.Undo }).OfType<SagaCallPlan>().SelectMany(static c => new[] { c.Address, c.Body ?? "" })
            .SelectMany(static t => Parameter().Matches(t)).Select(static m => m.Groups[1].Value).Distinct(),
    ];

    [GeneratedRegex(@"\$\{([A-Za-z][A-Za-z0-9_]*)\}")]
    internal static partial Regex Parameter();
}
