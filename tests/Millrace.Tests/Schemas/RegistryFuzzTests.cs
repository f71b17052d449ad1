using System.Text;
using System.Text.Json;
using Xunit.Abstractions;
using static Millrace.Tests.Schemas.RegistryFixture;

namespace Millrace.Tests.Schemas;

public sealed class RegistryFuzzTests(ITestOutputHelper output)
{
    private static readonly string[] Seedlings =
    [
        Body("""{"type":"record","name":"R","namespace":"a.b","fields":[{"name":"x","type":["null","int"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}},{"name":"m","type":{"type":"map","values":{"type":"array","items":"R"}}}]}"""),
        Body("""{"type":"fixed","name":"F","size":16,"logicalType":"decimal","precision":20,"scale":2,"aliases":["G"]}"""),
        Body("syntax = \"proto3\"; package a; message A { repeated int32 x = 1; oneof o { string s = 2; A a = 3; } map<string, A> m = 4; enum E { Z = 0; } }", "PROTOBUF"),
        Body("""{"type":"object","properties":{"a":{"enum":[1,{"b":2}]},"c":{"$ref":"#/definitions/d"}},"required":["a"],"definitions":{"d":{"not":{"type":"null"}}}}""", "JSON"),
        Body("""{"type":"object","properties":{"t":{"type":["string","null"],"maxLength":5,"pattern":"^a"},"n":{"type":"number","multipleOf":0.5,"minimum":-1e300},"next":{"$ref":"#"},"u":{"oneOf":[{"$ref":"#/$defs/x"},{"type":"array","items":[{"const":[1]}],"additionalItems":false,"uniqueItems":true}]}},"patternProperties":{"^s_":{"type":"string"}},"additionalProperties":{"anyOf":[{"type":"integer"},{"type":"boolean"}]},"dependencies":{"t":["n"]},"$defs":{"x":{"allOf":[{"type":"string"},{"minLength":1}]}}}""", "JSON"),
        Body("""{"type":"object","properties":{"t":{"type":"string"},"s_x":{"type":"string"}},"if":{"required":["t"]},"unevaluatedProperties":{"type":"string"},"minProperties":1}""", "JSON"),
        Body("\"string\"", "AVRO", """[{"name":"n","subject":"s1","version":1}]"""),
        """{"compatibility":"BACKWARD_TRANSITIVE"}""",
        """{"mode":"READWRITE"}""",
    ];

    private static readonly (string Method, string Path)[] Doors =
    [
        ("POST", "/subjects/s1/versions"), ("POST", "/subjects/s2/versions"), ("POST", "/subjects/s1"), ("POST", "/compatibility/subjects/s1/versions/latest"),
        ("POST", "/compatibility/subjects/s2/versions?verbose=true"), ("PUT", "/config"), ("PUT", "/config/s1"), ("PUT", "/mode/s9"), ("DELETE", "/subjects/s2/versions/latest"),
        ("GET", "/schemas/ids/1"), ("GET", "/subjects/%/versions/%2"), ("DELETE", "/subjects/s2?permanent=true"),
    ];

    /// <summary>20,000 bodies in the fast tests; MILLRACE_LONG makes it a million.</summary>
    [Fact]
    public async Task No_body_makes_the_registry_fail_or_forget()
    {
        var random = new Random(Seeds.Next(output));
        var registry = new RegistryFixture();
        var rounds = Environment.GetEnvironmentVariable("MILLRACE_LONG") is null ? 20_000 : 1_000_000;
        var memory = new InputMemory();
        var taken = 0;
        long registered = 0;
        for (var i = 0; i < rounds; i++)
        {
            var body = Mutate(random, Seedlings[random.Next(Seedlings.Length)]);
            var (method, path) = Doors[random.Next(Doors.Length)];
            var parts = path.Split('?');
            memory.Begin();
            var answer = await registry.Api.HandleAsync(new(
                method, parts[0], parts.Length > 1 ? new Dictionary<string, IReadOnlyList<string>> { [parts[1].Split('=')[0]] = ["true"] } : [], body));
            Assert.True(answer.Status is 200 or (>= 400 and < 500), $"{method} {path}: {answer.Status} {answer.Text}\n{Encoding.UTF8.GetString(body)}");
            // A subject's versions are compared with a new one, so what is registered counts too.
            memory.End(body.Length, each: 1_000, besides: (256 << 10) + 10 * registered, () => $"{method} {path}\n{Encoding.UTF8.GetString(body)}");
            using var json = JsonDocument.Parse(answer.Text);
            taken += answer.Status == 200 ? 1 : 0;
            registered += answer.Status == 200 && method == "POST" && path.EndsWith("/versions", StringComparison.Ordinal) ? body.Length : 0;
        }
        output.WriteLine($"{rounds} bodies: {taken} taken, {rounds - taken} refused, {registered} bytes registered; {memory}");
        Assert.InRange(taken, rounds / 100, rounds);
        var before = await registry.OkAsync("GET", "/schemas?deleted=true");
        registry.Restart();
        Assert.Equal(before, await registry.OkAsync("GET", "/schemas?deleted=true"));
    }

    private static byte[] Mutate(Random random, string seedling)
    {
        var bytes = Encoding.UTF8.GetBytes(seedling).ToList();
        for (var n = random.Next(4); n > 0; n--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 12), bytes.Count - at));
                    break;
                case 2:
                    var span = bytes.GetRange(at, Math.Min(random.Next(1, 40), bytes.Count - at));
                    bytes.InsertRange(random.Next(bytes.Count), span);
                    break;
                case 3:
                    bytes[at] = (byte)"{}[]\",:\\0-.eE"[random.Next(13)];
                    break;
                case 4:
                    var word = "\\\"int\\\"|\\\"R\\\"|null|-1|99999999999|\\\"default\\\":1|[]|{}|\\ud800".Split('|')[random.Next(9)];
                    bytes.InsertRange(at, Encoding.UTF8.GetBytes(word));
                    break;
                default:
                    for (var k = random.Next(1, 300); k > 0; k--)
                        bytes.Insert(at, (byte)'[');
                    break;
            }
            if (bytes.Count == 0)
                bytes.Add((byte)'{');
        }
        return [.. bytes];
    }
}
