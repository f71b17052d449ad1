using System.Text.Json;
using static Millrace.Tests.Schemas.RegistryFixture;

namespace Millrace.Tests.Schemas;

/// <summary>Contexts, and the ids that hold in all of them.</summary>
public sealed class RegistryContextTests
{
    private const string V1 = """{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}""";
    private const string V2 = """{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":0}]}""";
    private const string Bad = """{"type":"record","name":"A","fields":[{"name":"x","type":"string"}]}""";

    private readonly RegistryFixture _registry = new();

    [Fact]
    public async Task The_default_context_may_be_named()
    {
        await _registry.RegisterAsync("s", V1);
        foreach (var path in new[] { "/subjects/%3A.%3As/versions", "/subjects/:.:s/versions", "/contexts/./subjects/s/versions", "/contexts/%3A.%3A/subjects/s/versions" })
            Assert.Equal("[1]", await _registry.OkAsync("GET", path));
        Assert.Equal("[\".\"]", await _registry.OkAsync("GET", "/contexts"));
    }

    [Fact]
    public async Task Each_context_has_subjects_and_ids_of_its_own()
    {
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("s", V2));
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync(":.lab:s", V1));
        Assert.Equal("""{"id":2}""", await _registry.RegisterAsync(":.lab:s", V2));
        Assert.Equal("""[".",".lab"]""", await _registry.OkAsync("GET", "/contexts"));
        Assert.Equal("""[".lab"]""", await _registry.OkAsync("GET", "/contexts?contextPrefix=.l"));
        Assert.Equal("[1,2]", await _registry.OkAsync("GET", "/subjects/%3A.lab%3As/versions"));
        Assert.Equal("[1,2]", await _registry.OkAsync("GET", "/contexts/.lab/subjects/s/versions"));
        Assert.Equal("[1,2]", await _registry.OkAsync("GET", "/contexts/%3A.lab%3A/subjects/s/versions"));
        Assert.Equal("[1]", await _registry.OkAsync("GET", "/subjects/s/versions"));
        // An id means what its context says.
        Assert.Equal(V2, await _registry.OkAsync("GET", "/schemas/ids/1/schema"));
        Assert.Equal(V1, await _registry.OkAsync("GET", "/contexts/.lab/schemas/ids/1/schema"));
        Assert.Equal(V1, await _registry.OkAsync("GET", "/schemas/ids/1/schema?subject=%3A.lab%3A"));
        Assert.Equal(V1, await _registry.OkAsync("GET", "/schemas/ids/1/schema?subject=:.lab:s"));
        await _registry.FailsAsync(404, 40403, "GET", "/schemas/ids/1?subject=:.lab:other");
        await _registry.FailsAsync(404, 40403, "GET", "/schemas/ids/2");
        Assert.StartsWith("""{"subject":":.lab:s","version":2,"guid":""", await _registry.OkAsync("GET", "/schemas/ids/2?subject=s"), StringComparison.Ordinal);
        Assert.Contains("\"maxId\":2", await _registry.OkAsync("GET", "/schemas/ids/1?subject=:.lab:s&fetchMaxId=true"), StringComparison.Ordinal);
        Assert.Equal("""[":.lab:s"]""", await _registry.OkAsync("GET", "/contexts/.lab/schemas/ids/2/subjects"));
        Assert.Equal("""[{"subject":":.lab:s","version":2}]""", await _registry.OkAsync("GET", "/schemas/ids/2/versions?subject=s"));
    }

    [Fact]
    public async Task Lists_are_of_a_context_or_of_all()
    {
        await _registry.RegisterAsync("s1", V1);
        await _registry.RegisterAsync(":.a:s2", V1);
        await _registry.RegisterAsync(":.b:s3", V1);
        Assert.Equal("""[":.a:s2",":.b:s3","s1"]""", await _registry.OkAsync("GET", "/subjects"));
        Assert.Equal("""["s1"]""", await _registry.OkAsync("GET", "/subjects?subjectPrefix=:.:"));
        Assert.Equal("""["s1"]""", await _registry.OkAsync("GET", "/subjects?subjectPrefix=s"));
        Assert.Equal("""[":.a:s2"]""", await _registry.OkAsync("GET", "/contexts/.a/subjects"));
        Assert.Equal("""[":.b:s3"]""", await _registry.OkAsync("GET", "/subjects?subjectPrefix=:*:s3"));
        Assert.Equal("[\"s1\"]", await Subjects("/schemas"));
        Assert.Equal("[\":.a:s2\",\":.b:s3\",\"s1\"]", await Subjects("/schemas?subjectPrefix=:*:"));
        Assert.Equal("[\":.b:s3\"]", await Subjects("/contexts/b/schemas"));
        Assert.Equal("[\":.b:s3\"]", await Subjects("/schemas?subjectPrefix=:*:&offset=1&limit=1"));

        async Task<string> Subjects(string path)
        {
            using var json = JsonDocument.Parse(await _registry.OkAsync("GET", path));
            return JsonSerializer.Serialize(json.RootElement.EnumerateArray().Select(s => s.GetProperty("subject").GetString()));
        }
    }

    [Fact]
    public async Task A_name_without_a_context_is_found_in_the_others()
    {
        await _registry.RegisterAsync(":.a:s", V1);
        Assert.Contains("\":.a:s\"", await _registry.OkAsync("GET", "/subjects/s/versions/latest"), StringComparison.Ordinal);
        Assert.Contains("\":.a:s\"", await _registry.OkAsync("POST", "/subjects/s", Body(V1)), StringComparison.Ordinal);
        await _registry.FailsAsync(404, 40401, "GET", "/subjects/s/versions");
        await _registry.FailsAsync(404, 40401, "GET", "/subjects/:.b:s/versions/latest");
    }

    [Fact]
    public async Task Settings_are_of_a_subject_or_its_context_or_all()
    {
        await _registry.RegisterAsync(":.a:s", V1);
        await _registry.OkAsync("PUT", "/config/:.a:", """{"compatibility":"NONE"}""");
        Assert.Equal("""{"compatibilityLevel":"NONE"}""", await _registry.OkAsync("GET", "/contexts/.a/config"));
        Assert.Equal("""{"compatibilityLevel":"BACKWARD"}""", await _registry.OkAsync("GET", "/config"));
        Assert.Equal("""{"compatibilityLevel":"NONE"}""", await _registry.OkAsync("GET", "/config/:.a:s?defaultToGlobal=true"));
        await _registry.FailsAsync(404, 40408, "GET", "/config/:.a:s");
        await _registry.RegisterAsync(":.a:s", Bad);
        await _registry.OkAsync("PUT", "/config/:.__GLOBAL:", """{"compatibility":"FULL"}""");
        Assert.Equal("""{"compatibilityLevel":"FULL"}""", await _registry.OkAsync("GET", "/config/:.b:s?defaultToGlobal=true"));
        Assert.Equal("""{"compatibilityLevel":"FULL"}""", await _registry.OkAsync("GET", "/config/s?defaultToGlobal=true"));
        Assert.Equal("""{"compatibilityLevel":"NONE"}""", await _registry.OkAsync("DELETE", "/config/:.a:"));
        await _registry.FailsAsync(404, 40401, "DELETE", "/config/:.a:");
        await _registry.OkAsync("PUT", "/mode/:.a:", """{"mode":"READONLY"}""");
        await _registry.FailsAsync(422, 42205, "POST", "/subjects/:.a:s/versions", Body(V2));
        await _registry.RegisterAsync("s", V1);
        await _registry.OkAsync("PUT", "/mode/:.a:s", """{"mode":"READWRITE"}""");
        Assert.Equal("""{"mode":"READONLY"}""", await _registry.OkAsync("DELETE", "/contexts/.a/mode?recursive=true"));
        await _registry.FailsAsync(404, 40409, "GET", "/mode/:.a:s");
        await _registry.FailsAsync(422, 42208, "POST", "/subjects/:.__GLOBAL:s/versions", Body(V1));
    }

    [Fact]
    public async Task A_context_is_taken_over_by_import_and_deleted_when_it_is_empty()
    {
        await _registry.OkAsync("PUT", "/mode/:.copy:", """{"mode":"IMPORT"}""");
        await _registry.OkAsync("POST", "/contexts/.copy/subjects/s/versions", $$"""{"schema":{{JsonSerializer.Serialize(V1)}},"id":700,"version":5}""");
        Assert.Equal(V1, await _registry.OkAsync("GET", "/schemas/ids/700/schema?subject=:.copy:s"));
        await _registry.FailsAsync(422, 42205, "POST", "/contexts/.copy/subjects/t/versions", $$"""{"schema":{{JsonSerializer.Serialize(V2)}},"id":700}""");
        await _registry.FailsAsync(422, 42211, "DELETE", "/contexts/.copy");
        await _registry.OkAsync("DELETE", "/subjects/:.copy:s");
        await _registry.OkAsync("DELETE", "/subjects/:.copy:s?permanent=true");
        Assert.Equal(204, (await _registry.SendAsync("DELETE", "/contexts/.copy")).Status);
        Assert.Equal("[\".\"]", await _registry.OkAsync("GET", "/contexts"));
        await _registry.OkAsync("DELETE", "/mode/:.copy:");
        _registry.Restart();
        // Records may still say 700.
        Assert.Equal("""{"id":701}""", await _registry.RegisterAsync(":.copy:s", V1));
    }

    [Fact]
    public async Task References_mean_the_subjects_of_their_own_context()
    {
        const string reference = """[{"name":"A","subject":"a","version":1}]""";
        const string uses = """{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}""";
        await _registry.RegisterAsync(":.x:a", V1);
        await _registry.RegisterAsync(":.x:b", uses, null, reference);
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/b/versions", Body(uses, null, reference));
        await _registry.RegisterAsync("b", uses, null, reference.Replace("\"a\"", "\":.x:a\"", StringComparison.Ordinal));
        Assert.Equal("[1,2]", await _registry.OkAsync("GET", "/subjects/:.x:a/versions/1/referencedby"));
        await _registry.FailsAsync(422, 42206, "DELETE", "/subjects/:.x:a");
    }

    [Fact]
    public async Task A_guid_stands_for_the_same_schema_everywhere()
    {
        await _registry.RegisterAsync("s", V2);
        await _registry.RegisterAsync("s2", V1);
        await _registry.RegisterAsync(":.a:s", V1);
        // The MD5 of its text.
        const string guid = "ae0b2e64-33d5-3689-0cdb-9814614e3463";
        Assert.Contains($"\"guid\":\"{guid}\"", await _registry.OkAsync("GET", "/subjects/s2/versions/1"), StringComparison.Ordinal);
        Assert.Equal($$"""[{"context":".","id":2},{"context":".a","id":1}]""", await _registry.OkAsync("GET", $"/schemas/guids/{guid}/ids"));
        Assert.StartsWith($$"""{"guid":"{{guid}}","schema":""", await _registry.OkAsync("GET", $"/schemas/guids/{guid}"), StringComparison.Ordinal);
        await _registry.FailsAsync(404, 40403, "GET", "/schemas/guids/" + Guid.Empty);
        await _registry.FailsAsync(404, 40403, "GET", "/schemas/guids/nothing");
    }

    [Fact]
    public async Task A_registry_started_again_has_the_same_contexts()
    {
        await _registry.RegisterAsync(":.a:s", V1);
        await _registry.RegisterAsync(":.b:s", V2);
        await _registry.OkAsync("PUT", "/config/:.a:", """{"compatibility":"FULL","normalize":true,"alias":"x","compatibilityGroup":"major"}""");
        await _registry.OkAsync("DELETE", "/subjects/:.b:s");
        string[] questions = ["/contexts", "/schemas?subjectPrefix=:*:&deleted=true", "/config/:.a:", "/schemas/ids/1?subject=:.b:"];
        var before = await Task.WhenAll(questions.Select(q => _registry.OkAsync("GET", q)));
        _registry.Restart();
        Assert.Equal(before, await Task.WhenAll(questions.Select(q => _registry.OkAsync("GET", q))));
    }
}
