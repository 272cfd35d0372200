/*
 * What is taken of Auto Scaling, in the SDK's words: only what is read. Its package has thousands of lines of types, of
 * which a handful are of use here.
 */

/** How a page of a list is asked for. */
interface PageInput {
  readonly MaxRecords: number;
  readonly NextToken?: string | undefined;
}

/** A version of a launch template, as a group names it. */
export interface TemplateSpecification {
  readonly LaunchTemplateId?: string | undefined;
  readonly LaunchTemplateName?: string | undefined;
  /** A number, `$Latest` or `$Default`; left out for the latter. */
  readonly Version?: string | undefined;
}

/** What may start machines by itself. */
export interface AutoScalingGroup {
  readonly AutoScalingGroupName?: string | undefined;
  readonly LaunchTemplate?: TemplateSpecification | undefined;
  readonly MixedInstancesPolicy?:
    | {
        readonly LaunchTemplate?:
          | {
              readonly LaunchTemplateSpecification?: TemplateSpecification | undefined;
              readonly Overrides?:
                | readonly {
                    readonly LaunchTemplateSpecification?: TemplateSpecification | undefined;
                    readonly ImageId?: string | undefined;
                  }[]
                | undefined;
            }
          | undefined;
      }
    | undefined;
}

/** The older way to say what a group starts. */
export interface LaunchConfiguration {
  readonly LaunchConfigurationName?: string | undefined;
  readonly ImageId?: string | undefined;
}

/** What the calls of Auto Scaling take and answer. */
export interface AutoScalingCallTypes {
  DescribeAutoScalingGroups: [
    PageInput,
    { readonly AutoScalingGroups?: readonly AutoScalingGroup[]; readonly NextToken?: string | undefined },
  ];
  DescribeLaunchConfigurations: [
    PageInput,
    {
      readonly LaunchConfigurations?: readonly LaunchConfiguration[];
      readonly NextToken?: string | undefined;
    },
  ];
}
