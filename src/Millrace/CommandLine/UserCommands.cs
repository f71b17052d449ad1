using System.CommandLine;
using System.Text.Json.Nodes;
using Millrace.Host.Platform.Seams;
using Millrace.Log.Security;
using Millrace.Storage.Files;
using Millrace.WebConsole.Seams;
using Spectre.Console;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace user add|list|remove</c>: of a running platform over HTTP, else in its data folder, so that the first user can be made before the first start.</summary>
internal static class UserCommands
{
    public static Command Create()
    {
        var user = new Command("user", "Users of the Kafka port; kafka: security: in millrace.yaml makes them log in");
        user.Subcommands.Add(Add());
        user.Subcommands.Add(List());
        user.Subcommands.Add(Remove());
        return user;
    }

    private static Command Add()
    {
        var name = new Argument<string>("NAME") { Description = "The user's name" };
        var command = new Command("add", "Create a user or change its password, which is read from standard input") { name }.WithExamples(
            "./millrace user add alice", "pwgen 24 1 | tee alice.password | ./millrace user add alice");
        command.SetAction(async (parsed, cancellation) =>
        {
            var user = parsed.GetValue(name)!;
            var password = Console.IsInputRedirected
                ? (await Console.In.ReadLineAsync(cancellation))?.TrimEnd('\r') ?? ""
                : Terminal.Error.Prompt(new TextPrompt<string>($"Password of {user}:").Secret());
            if (password.Length == 0)
                throw new CommandException("the password is empty", "write it to standard input", ExitCode.Usage);
            using var client = parsed.Client();
            if (await client.IsUpAsync(cancellation))
                await client.PostJsonAsync("/api/users", new JsonObject { ["name"] = user, ["password"] = password }, cancellation);
            else
                InFolder(parsed, users => users.Set(user, password));
            Done(parsed, $"user {user} can log in", new JsonObject { ["user"] = user });
            return ExitCode.Success;
        });
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "List users").WithExamples("./millrace user list");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var answer = await client.IsUpAsync(cancellation)
                ? await client.GetAsync("/api/users", cancellation)
                : InFolder(parsed, users => new JsonObject
                {
                    ["users"] = new JsonArray([.. users.List().Select(u => new JsonObject
                    {
                        ["name"] = u.Name, ["mechanisms"] = new JsonArray([.. u.Mechanisms.Select(m => JsonValue.Create(m))]),
                    })]),
                });
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(answer);
            else
                Terminal.WriteTable(
                    ["user", "logs in by"], Rows(answer["users"]).Select(u => new[] { Text(u["name"]), string.Join(", ", Rows(u["mechanisms"]).Select(m => Text(m))) }),
                    "no users; make one with: ./millrace user add NAME");
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Remove()
    {
        var name = new Argument<string>("NAME") { Description = "The user's name" };
        var command = new Command("remove", "Remove a user; connections that it has stay until they end") { name }.WithExamples("./millrace user remove alice");
        command.SetAction(async (parsed, cancellation) =>
        {
            var user = parsed.GetValue(name)!;
            using var client = parsed.Client();
            if (await client.IsUpAsync(cancellation))
                await client.DeleteAsync("/api/users/" + Uri.EscapeDataString(user), cancellation);
            else if (!InFolder(parsed, users => users.Remove(user)))
                throw new CommandException($"there is no user '{user}'", "see: ./millrace user list", ExitCode.Usage);
            Done(parsed, $"user {user} removed", new JsonObject { ["user"] = user, ["removed"] = true });
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>The users of a platform that does not run; its folder is held meanwhile.</summary>
    private static T InFolder<T>(ParseResult parsed, Func<IUsers, T> act)
    {
        var data = parsed.Settings().Data;
        try
        {
            using var held = FolderLock.Take(data);
            var log = Path.Combine(data, "log");
            Directory.CreateDirectory(log);
            return act(new UserSeam(SecurityStore.Open(DiskFileSystem.Instance, log)));
        }
        catch (FolderLockedException running)
        {
            throw new CommandException(running.Message, "the platform runs and was not reached: name its address with --server", ExitCode.Unreachable);
        }
        catch (ConsoleException wrong)
        {
            throw new CommandException(wrong.Message, wrong.Hint, ExitCode.Usage);
        }
    }
}
