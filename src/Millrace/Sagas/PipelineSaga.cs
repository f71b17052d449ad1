using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Host.CommandLine;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Host.Sagas;

/// <summary>A saga of a pipeline file as the text that the store keeps: filled in, so that a later change of the file changes no saga that was begun.</summary>
internal static class PipelineSaga
{
    public static bool IsPipeline(string yaml) => Linter.NameOf(yaml) is not null;

    /// <exception cref="CommandException">The file is wrong, there is no such saga, or a value is missing.</exception>
    public static string Definition(string yaml, string file, string? name, IReadOnlyList<string> with)
    {
        var (diagnostics, sagas) = Linter.SagasOf(yaml, file);
        if (diagnostics.FirstOrDefault(static d => d.Severity == Severity.Error) is { } fault)
            throw new CommandException(DiagnosticText.Render([fault], yaml).TrimEnd(), $"./millrace lint {file}", ExitCode.Usage);
        var names = string.Join(", ", sagas.Select(static s => s.Name));
        if (sagas.Count == 0)
            throw new CommandException($"{file} has no sagas", "sagas: {NAME: {steps: [...]}}", ExitCode.Usage);
        if (name is null && sagas.Count > 1)
            throw new CommandException($"{file} has several sagas", $"--saga with one of {names}", ExitCode.Usage);
        var saga = name is null ? sagas[0] : sagas.FirstOrDefault(s => s.Name == name)
            ?? throw new CommandException($"{file} has no saga '{name}'", $"there are {names}", ExitCode.Usage);
        var values = new Dictionary<string, string>();
        foreach (var pair in with)
        {
            var at = pair.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0)
                throw new CommandException($"'{pair}' is no value", "--with order=4711", ExitCode.Usage);
            if (!saga.Parameters.Contains(pair[..at]))
                throw new CommandException($"the saga '{saga.Name}' has no ${{{pair[..at]}}}", saga.Parameters.Count == 0 ? "it needs no --with" : "it has " + string.Join(", ", saga.Parameters), ExitCode.Usage);
            values[pair[..at]] = pair[(at + 1)..];
        }
        if (saga.Parameters.FirstOrDefault(p => !values.ContainsKey(p)) is { } missing)
            throw new CommandException($"the saga '{saga.Name}' needs ${{{missing}}}", $"--with {missing}=...", ExitCode.Usage);
        return new JsonObject
        {
            ["saga"] = saga.Name,
            ["steps"] = new JsonArray([.. saga.Steps.Select(s => Step(s, values))]),
        }.ToJsonString();
    }

    private static JsonObject Step(SagaStepPlan step, Dictionary<string, string> values)
    {
        var text = new JsonObject { ["name"] = step.Name, ["do"] = Call(step.Do, values) };
        if (step.Undo is not null)
            text["undo"] = Call(step.Undo, values);
        return text;
    }

    private static JsonObject Call(SagaCallPlan call, Dictionary<string, string> values)
    {
        var text = new JsonObject { [call.Method.ToLowerInvariant()] = Linter.Fill(call.Address, values, Uri.EscapeDataString) };
        // Within the body a value stands between quotes or as a number; what quotes would end is escaped.
        if (call.Body is not null)
            text["body"] = Linter.Fill(call.Body, values, static v => JsonEncodedText.Encode(v).ToString());
        return text;
    }
}
