using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Graph;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Tests.Pipelines;

/// <summary>
/// Files with their diagnostics as people see them: <c>golden/NAME.yaml</c> and <c>golden/NAME.txt</c>. MILLRACE_GOLDEN=write writes the texts anew.
/// </summary>
public class GoldenTests
{
    private static readonly bool Write = Environment.GetEnvironmentVariable("MILLRACE_GOLDEN") == "write";

    private static string Folder => Path.Combine(Repository.Root, "tests", "Millrace.Tests", "Pipelines", "golden");

    public static TheoryData<string> Cases()
    {
        var data = new TheoryData<string>();
        foreach (var file in Directory.EnumerateFiles(Folder, "*.yaml").Order(StringComparer.Ordinal))
            data.Add(Path.GetFileNameWithoutExtension(file));
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_linter_says_what_the_golden_file_says(string name)
    {
        var yaml = File.ReadAllText(Path.Combine(Folder, name + ".yaml"));
        var context = new LintContext
        {
            Sampler = topic => topic.Topic == "empty"
                ? new TopicSample([])
                : new TopicSample([], $"topic '{topic.Topic}' does not exist"),
            Targets = new Dictionary<string, AlertTarget> { ["ops"] = new AlertTarget.Webhook("ops", new Uri("https://hooks.example.com/secret")) },
        };
        if (name.StartsWith("offline", StringComparison.Ordinal))
            context = context with { Sampler = null };
        var result = Linter.Lint(yaml, name + ".yaml", context);
        Assert.True(result.Plan is null || !result.HasErrors);
        var text = result.Diagnostics.Count == 0 ? "" : DiagnosticText.Render(result.Diagnostics, yaml);
        if (result.Plan is not null)
            text += (text.Length > 0 ? "\n" : "") + PlanGraph.Of(result.Plan).ToText();
        Assert.DoesNotContain("secret", text, StringComparison.Ordinal);
        Compare(Path.Combine(Folder, name + ".txt"), text);
    }

    [Fact]
    public void The_reference_of_the_file_is_not_stale() =>
        Compare(Path.Combine(Repository.Root, "docs", "reference", "pipeline-file.md"), PipelineReference.Markdown());

    [Fact]
    public void The_JSON_Schema_beside_the_reference_is_not_stale() =>
        Compare(Path.Combine(Repository.Root, "docs", "reference", "pipeline.schema.json"), PipelineSchema.Json);

    [Fact]
    public void The_JSON_Schema_describes_every_field_and_both_forms()
    {
        var schema = JsonNode.Parse(PipelineSchema.Json)!;
        Assert.Equal("https://json-schema.org/draft/2020-12/schema", (string?)schema["$schema"]);
        var properties = schema["properties"]!.AsObject();
        Assert.Equal(
            ["pipeline", "description", "sources", "checks", "sql", "sinks", "alerts", "sagas", "priority", "checkpoint"], properties.Select(p => p.Key));
        Assert.All(properties, p => Assert.NotEmpty((string)p.Value!["description"]!));
        var source = properties["sources"]!["additionalProperties"]!["anyOf"]!.AsArray();
        Assert.Equal(["string", "object"], source.Select(s => (string?)s!["type"]));
        Assert.Equal("from", (string?)source[1]!["required"]![0]);
    }

    private static void Compare(string path, string text)
    {
        if (Write)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
        var known = File.Exists(path) ? File.ReadAllText(path) : "";
        Assert.True(known == text, $"{path} is stale; if the new text is right, write it with MILLRACE_GOLDEN=write ./millrace test. The new text:\n{text}");
    }
}
