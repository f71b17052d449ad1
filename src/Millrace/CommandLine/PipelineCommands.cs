using System.CommandLine;
namespace Millrace.Host.CommandLine;
internal static class PipelineCommands { public static IEnumerable<Command> All() => []; }
