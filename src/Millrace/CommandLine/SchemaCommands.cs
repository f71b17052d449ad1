using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Schemas;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace schema list|show|register|check|delete|level</c>, by Confluent's REST API: any registry will do (<c>--registry</c>).</summary>
internal static class SchemaCommands
{
    private static readonly Option<string?> Registry = new("--registry")
    {
        Description = "The schema registry's address [default: from the settings, else the platform's own]", HelpName = "URL", Recursive = true,
    };

    private static readonly string[] Levels =
        ["BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE"];

    public static Command Create()
    {
        var schema = new Command("schema", "Schemas of the embedded registry, or of any other with --registry");
        schema.Options.Add(Registry);
        schema.Subcommands.Add(List());
        schema.Subcommands.Add(Show());
        schema.Subcommands.Add(Register());
        schema.Subcommands.Add(Check());
        schema.Subcommands.Add(Delete());
        schema.Subcommands.Add(Level());
        return schema;
    }

    /// <summary>The registry that the command line means.</summary>
    public static Uri Address(ParseResult parsed)
    {
        var settings = parsed.Settings();
        var written = parsed.GetValue(Registry) ?? settings.Registry?.OriginalString
            ?? $"{parsed.GetValue(MillraceCommand.Server) ?? Environment.GetEnvironmentVariable("MILLRACE_SERVER") ?? settings.HttpAddress.ToString().TrimEnd('/')}/schema-registry";
        return Uri.TryCreate(written, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : throw new CommandException($"'{written}' is no http or https address", "--registry http://schemas:8081", ExitCode.Usage);
    }

    /// <summary>Asks the registry; its refusals become messages.</summary>
    public static JsonNode Ask(RegistryClient client, string method, string path, JsonNode? body = null)
    {
        try
        {
            var (status, text) = client.Send(method, path, body?.ToJsonString());
            var answer = JsonNode.Parse(text) ?? new JsonObject();
            if (status is >= 200 and < 300)
                return answer;
            throw new CommandException(Text(answer["message"]), status == 404 ? "see: ./millrace schema list" : null, status >= 500 ? ExitCode.Failure : ExitCode.Usage);
        }
        catch (RegistryUnreachableException failure)
        {
            throw new CommandException(failure.Message, "start the platform with: ./millrace up, or name a registry with --registry", ExitCode.Unreachable);
        }
        catch (JsonException)
        {
            throw new CommandException($"what answers at {client.Address} is no schema registry", null, ExitCode.Unreachable);
        }
    }

    /// <summary>A client of it; the platform's own is asked as the user of <c>client:</c>.</summary>
    public static RegistryClient Client(ParseResult parsed) => new(Address(parsed), TimeSpan.FromSeconds(30), LoginOf(parsed));

    /// <summary>How that registry is asked; null for one that is not the platform's own.</summary>
    public static IReadOnlyDictionary<string, string>? LoginOf(ParseResult parsed)
    {
        var settings = parsed.Settings();
        return parsed.GetValue(Registry) is null && settings.Registry is null ? PlatformClient.RegistryLogin(settings.Client) : null;
    }

    private static Command List()
    {
        var deleted = new Option<bool>("--deleted") { Description = "Soft-deleted versions too" };
        var command = new Command("list", "List subjects with their versions") { deleted }.WithExamples("./millrace schema list", "./millrace schema list --json");
        command.SetAction(parsed =>
        {
            using var client = Client(parsed);
            var all = Ask(client, "GET", parsed.GetValue(deleted) ? "/schemas?deleted=true" : "/schemas");
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(all);
                return;
            }
            Terminal.WriteTable(
                ["subject", "version", "id", "type"],
                Rows(all).Select(s => new[] { Text(s["subject"]), Text(s["version"]), Text(s["id"]), s["schemaType"] is { } type ? Text(type) : "AVRO" }),
                "no schemas; register one with: ./millrace schema register SUBJECT FILE");
        });
        return command;
    }

    private static Command Show()
    {
        var subject = new Argument<string>("SUBJECT") { Description = "A subject, or an id as a number" };
        var version = new Option<string>("--version") { Description = "A version", DefaultValueFactory = _ => "latest" };
        var command = new Command("show", "Show a schema") { subject, version }.WithExamples(
            "./millrace schema show orders-value", "./millrace schema show orders-value --version 1", "./millrace schema show 17");
        command.SetAction(parsed =>
        {
            using var client = Client(parsed);
            var name = parsed.GetValue(subject)!;
            var answer = Ask(client, "GET", name.All(char.IsAsciiDigit)
                ? "/schemas/ids/" + name
                : $"/subjects/{Uri.EscapeDataString(name)}/versions/{Uri.EscapeDataString(parsed.GetValue(version)!)}");
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(answer);
            else
                Console.Out.WriteLine(Pretty(Text(answer["schema"])));
        });
        return command;
    }

    private static Command Register()
    {
        var (subject, file, type) = SchemaArguments();
        var command = new Command("register", "Register a schema as a subject's next version") { subject, file, type }.WithExamples(
            "./millrace schema register orders-value order.avsc", "./millrace schema register orders-value order.proto");
        command.SetAction(parsed =>
        {
            using var client = Client(parsed);
            var name = parsed.GetValue(subject)!;
            var body = Body(parsed.GetValue(file)!, parsed.GetValue(type));
            var answer = Ask(client, "POST", $"/subjects/{Uri.EscapeDataString(name)}/versions", body);
            Done(parsed, $"subject {name} has the schema with id {Text(answer["id"])}", new JsonObject { ["subject"] = name, ["id"] = answer["id"]?.DeepClone() });
        });
        return command;
    }

    private static Command Check()
    {
        var (subject, file, type) = SchemaArguments();
        var command = new Command("check", "Say whether a schema could become a subject's next version") { subject, file, type }.WithExamples(
            "./millrace schema check orders-value order.avsc");
        command.SetAction(parsed =>
        {
            using var client = Client(parsed);
            var name = parsed.GetValue(subject)!;
            var answer = Ask(
                client, "POST", $"/compatibility/subjects/{Uri.EscapeDataString(name)}/versions?verbose=true", Body(parsed.GetValue(file)!, parsed.GetValue(type)));
            var good = answer["is_compatible"]?.GetValue<bool>() ?? false;
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(answer);
            }
            else
            {
                Console.Out.WriteLine(good ? $"compatible with {name}" : $"not compatible with {name}");
                foreach (var message in Rows(answer["messages"]))
                    Console.Out.WriteLine("  " + Text(message));
            }
            return good ? ExitCode.Success : ExitCode.Failure;
        });
        return command;
    }

    private static Command Delete()
    {
        var subject = SubjectArgument();
        var version = new Option<string?>("--version") { Description = "This version alone" };
        var permanent = new Option<bool>("--permanent") { Description = "For ever; only what is soft-deleted already" };
        var command = new Command("delete", "Delete a subject or a version: softly, then for ever with --permanent") { subject, version, permanent }.WithExamples(
            "./millrace schema delete orders-value", "./millrace schema delete orders-value --version 2", "./millrace schema delete orders-value --permanent");
        command.SetAction(parsed =>
        {
            using var client = Client(parsed);
            var name = parsed.GetValue(subject)!;
            var path = $"/subjects/{Uri.EscapeDataString(name)}";
            if (parsed.GetValue(version) is { } one)
                path += "/versions/" + Uri.EscapeDataString(one);
            var answer = Ask(client, "DELETE", parsed.GetValue(permanent) ? path + "?permanent=true" : path);
            Done(parsed, $"deleted from {name}: version {answer.ToJsonString().Trim('[', ']')}", new JsonObject { ["subject"] = name, ["deleted"] = answer.DeepClone() });
        });
        return command;
    }

    private static Command Level()
    {
        var subject = new Argument<string?>("SUBJECT") { Description = "A subject; without it, what holds for all", Arity = ArgumentArity.ZeroOrOne };
        var set = new Option<string?>("--set") { Description = "The new level" };
        set.AcceptOnlyFromAmong(Levels);
        var command = new Command("level", "Show or set the compatibility level") { subject, set }.WithExamples(
            "./millrace schema level", "./millrace schema level orders-value --set FULL");
        command.SetAction(parsed =>
        {
            using var client = Client(parsed);
            var path = parsed.GetValue(subject) is { } name ? "/config/" + Uri.EscapeDataString(name) : "/config";
            var answer = parsed.GetValue(set) is { } level
                ? Ask(client, "PUT", path, new JsonObject { ["compatibility"] = level })
                : Ask(client, "GET", path + "?defaultToGlobal=true");
            Done(parsed, Text(answer["compatibilityLevel"] ?? answer["compatibility"]), answer);
        });
        return command;
    }

    private static (Argument<string> Subject, Argument<string> File, Option<string?> Type) SchemaArguments()
    {
        var file = new Argument<string>("FILE") { Description = "The schema: .avsc, .json or .proto" };
        var type = new Option<string?>("--type") { Description = "AVRO, JSON or PROTOBUF [default: by the file's name]" };
        type.AcceptOnlyFromAmong("AVRO", "JSON", "PROTOBUF");
        return (SubjectArgument(), file, type);
    }

    private static Argument<string> SubjectArgument() => new("SUBJECT") { Description = "The subject, e.g. orders-value for the values of topic orders" };

    private static JsonObject Body(string file, string? type)
    {
        if (!File.Exists(file))
            throw new CommandException($"there is no file '{file}'", null, ExitCode.Usage);
        type ??= Path.GetExtension(file).ToLowerInvariant() switch
        {
            ".proto" => "PROTOBUF",
            ".json" => "JSON",
            _ => "AVRO",
        };
        return new JsonObject { ["schema"] = File.ReadAllText(file), ["schemaType"] = type };
    }

    private static string Pretty(string schema)
    {
        try
        {
            return JsonNode.Parse(schema)?.ToJsonString(new JsonSerializerOptions
            {
                WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
            }) ?? schema;
        }
        catch (JsonException)
        {
            return schema.TrimEnd();
        }
    }
}
