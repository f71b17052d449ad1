using System.CommandLine;
namespace Millrace.Host.CommandLine;
internal static class UpCommands { public static IEnumerable<Command> All() => []; }
