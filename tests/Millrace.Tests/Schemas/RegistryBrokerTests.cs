using System.Net.Http.Headers;
using System.Text;
using Millrace.Host.Platform;
using Millrace.Host.Platform.Seams;
using Millrace.Host.Settings;
using Millrace.Schemas;
using Millrace.Tests.Log;

namespace Millrace.Tests.Schemas;

public sealed class RegistryBrokerTests
{
    [Fact]
    public async Task What_was_registered_is_in_the_log_after_a_restart()
    {
        var broker = await TestBroker.StartAsync();
        using (var registry = SchemaRegistry.Open(new SchemaLog(broker.Broker.SchemaState())))
        {
            Assert.Empty(registry.Subjects());
            await registry.RegisterAsync("s", new SchemaRegistration(new SchemaContent(SchemaType.Avro, "\"string\"", [])));
            await registry.SetConfigAsync("", old => old with { Level = CompatibilityLevel.Full });
        }
        broker = await broker.RestartAsync();
        await using (broker)
        {
            using var registry = SchemaRegistry.Open(new SchemaLog(broker.Broker.SchemaState()));
            Assert.Equal(["s"], registry.Subjects());
            Assert.Equal(CompatibilityLevel.Full, registry.EffectiveConfig("").Level);
            Assert.Equal("compact", broker.Broker.Topic("_schemas")!.Configs["cleanup.policy"]);
            Assert.False(broker.Broker.DeleteTopic("_schemas"));
        }
    }

    [Fact]
    public async Task The_platform_serves_the_registry_under_its_own_path_and_at_the_root()
    {
        var data = Directory.CreateTempSubdirectory("millrace-schemas-").FullName;
        var any = new ListenerSettings(System.Net.IPAddress.Loopback, 0);
        await using (var platform = await MillracePlatform.StartAsync(
            new PlatformSettings { Data = data, Kafka = any, Http = any, Postgres = any, Coordination = new() { Listener = any } },
            Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, default))
        {
            using var http = new HttpClient { BaseAddress = platform.Console };
            var body = new StringContent("{\"schema\":\"\\\"long\\\"\"}", Encoding.UTF8);
            body.Headers.ContentType = new MediaTypeHeaderValue("application/vnd.schemaregistry.v1+json");
            var answer = await http.PostAsync("/subjects/a%2Fb/versions", body);
            Assert.StartsWith("{\"id\":1,", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            Assert.Equal("application/vnd.schemaregistry.v1+json", answer.Content.Headers.ContentType!.MediaType);
            Assert.Equal("[\"a/b\"]", await http.GetStringAsync("/schema-registry/subjects"));
            Assert.Equal("{}", await http.GetStringAsync("/schema-registry/"));
            Assert.Contains("<html", await http.GetStringAsync("/"), StringComparison.OrdinalIgnoreCase);
        }
        Directory.Delete(data, recursive: true);
    }
}
