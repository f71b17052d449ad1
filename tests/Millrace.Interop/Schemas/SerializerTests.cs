using Millrace.Interop.EndToEnd;
using Millrace.Interop.Iceberg;
using Millrace.Interop.Log;
using Millrace.Tests;

namespace Millrace.Interop.Schemas;

/// <summary>Other projects' serializers, unchanged, with the registry at the root of the HTTP port and the log of the same platform.</summary>
public sealed class SerializerTests : PlatformTests
{
    private string Root => Platform.Address.ToString().TrimEnd('/');

    [NpmFact("@kafkajs/confluent-schema-registry")]
    public async Task Kafkajs_registry_client_registers_encodes_and_decodes() => await EndsWellAsync("registry-kafkajs.js");

    [NpmFact("@confluentinc/schemaregistry")]
    public async Task Confluents_JavaScript_serializers_register_evolve_refer_and_find_what_they_wrote() => await EndsWellAsync("registry-confluent.js");

    [PythonFact("jsonschema")]
    public async Task Confluents_Python_JSONSerializer_registers_and_reads_what_it_wrote() => await PythonEndsWellAsync("json");

    [PythonFact("google/protobuf")]
    public async Task Confluents_Python_ProtobufSerializer_registers_descriptors_and_what_they_import() => await PythonEndsWellAsync("protobuf");

    private async Task EndsWellAsync(string script) =>
        Assert.EndsWith("OK", (await Programs.RunAsync("node", null, Path.Combine(NpmFactAttribute.Folder, script), Root, Platform.Brokers)).Trim(), StringComparison.Ordinal);

    private async Task PythonEndsWellAsync(string kind) => Assert.Equal("OK", (await Programs.RunAsync(
        PythonFactAttribute.Python, null, Path.Combine(Repository.Root, "tests/Millrace.Interop/Schemas/registry_serdes.py"), kind, Root, Platform.Brokers)).Trim());
}
