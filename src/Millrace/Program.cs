using Millrace.Host.CommandLine;

return await MillraceCommand.RunAsync(args);
